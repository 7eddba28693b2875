// Package web is what every page and every metric of assay stands on: a page
// frame, line plots, and one HTTP server with health, Prometheus metrics, a
// token and TLS. It knows nothing of what it shows.
//
// # Who may ask
//
// Without a token the server listens on loopback only, unless it is told to be
// open: what it serves may take the machine's memory. A token is compared in
// constant time and comes as "Authorization: Bearer TOKEN", or as the password
// of basic authentication, which is how a browser asks a person for it.
// /healthz needs none, as it tells nothing.
//
// A browser sends what any page in it asks for, with the user's credentials and
// from inside the user's network. SameSite refuses what another site has asked
// for, GET included, which is what old interfaces change state with.
//
// # How much they may ask
//
// Every connection, header and body has a limit, and so has the time they may
// take, so that no number of clients makes the server's memory grow without
// bound: see Options.
package web

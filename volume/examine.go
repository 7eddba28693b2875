package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/verdict"
)

// judged is what one reader has found so far, so that what was found once is
// not found again.
type judged struct {
	// leave are the lines that are known to be broken: the reader gets them no
	// more.
	leave lineSet
	// masked: the reader finds something whatever is promised, and until it says
	// that all is kept nothing new can be told from that.
	masked bool
	// opens: it was seen to open a sound database.
	opens bool
}

// judgedBy is what the reader with this command has found.
func (v *Volume) judgedBy(o examining) *judged {
	key := strings.Join(o.Command, "\x00")
	if v.readers[key] == nil {
		v.readers[key] = &judged{}
	}
	return v.readers[key]
}

// examine lets the user's command judge.
func (v *Volume) examine(ctx context.Context, o examining) ([]verdict.Finding, error) {
	j, now := v.judgedBy(o), time.Now()
	a, err := v.ask(ctx, o, j.leave)
	if err != nil {
		return nil, err
	}
	broken, err := a.broken(j.opens)
	switch {
	case j.masked && (err != nil || len(broken) > 0):
		v.env.Say(fmt.Sprintf("%s: what %s has found is still there whatever is promised; whether more is broken by now cannot be told", v.Name(), o.Command[0]))
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s %w", o.Command[0], err)
	case len(broken) == 0:
		j.masked = false
		return nil, nil
	}
	why := v.learn(ctx, o, j, broken)
	return v.broke(a, broken, why, now), ctx.Err()
}

// learn finds out which promises the reader has found broken, by asking it for
// the others: those that it names, those of this round, or all. What it says
// without them is no new finding.
func (v *Volume) learn(ctx context.Context, o examining, j *judged, broken []said) suspects {
	for _, s := range v.suspected(j, broken) {
		rest := j.leave.with(s.lines...)
		a, err := v.ask(ctx, o, rest)
		if err != nil {
			continue
		}
		if again, err := a.broken(j.opens); err == nil && len(again) == 0 {
			j.leave = rest
			return s
		}
	}
	j.leave, j.masked = lineSet(nil).with(span{0, v.promised.count()}), true
	return suspects{}
}

// suspects are lines that may be all that is broken.
type suspects struct {
	lines lineSet
	since int // the round, from 0, since which a fault can have broken them
	known bool
}

// suspected are the lines that a finding may speak of, fewest first.
func (v *Volume) suspected(j *judged, broken []said) (all []suspects) {
	total, rounds := v.promised.count(), v.promised.rounds()
	texts := map[string]bool{}
	for _, s := range broken {
		texts[s.text] = true
	}
	if lines, ok, err := v.promised.named(texts, j.leave); ok && err == nil {
		all = append(all, suspects{lines, since(rounds, lines), true})
	}
	if n := len(rounds); n > 0 && rounds[n-1].From < total {
		all = append(all, suspects{lineSet{{rounds[n-1].From, total}}, n - 1, true})
	}
	if n := len(rounds); n == 0 || rounds[n-1].From > 0 {
		all = append(all, suspects{lines: lineSet(nil).with(span{0, total})})
	}
	return all
}

// since is the index of the round in which the last of some lines was promised.
func since(rounds []promisedRound, lines lineSet) int {
	last := lines[len(lines)-1].To - 1
	i := len(rounds) - 1
	for i > 0 && rounds[i].From > last {
		i--
	}
	return i
}

// ask runs the reader on all promises but some.
func (v *Volume) ask(ctx context.Context, o examining, leave lineSet) (answer, error) {
	stdin, given, err := v.promised.without(leave)
	if err != nil {
		return answer{}, err
	}
	if o.Expects == "nothing" {
		stdin, given = "", -1
	}
	return v.hearReader(ctx, o, stdin, given)
}

// hearReader runs the reader to its end. The error says why there is no answer.
func (v *Volume) hearReader(ctx context.Context, o examining, stdin string, given int64) (answer, error) {
	c, err := v.start(order{Args: o.Command, Stdin: stdin})
	if err != nil {
		return answer{}, err
	}
	defer c.over()
	output := make(chan []byte, 1)
	go func() {
		defer close(c.read)
		b, _ := io.ReadAll(io.LimitReader(c.child.Stdout, outputMax))
		_, _ = io.Copy(io.Discard, c.child.Stdout)
		output <- b
	}()
	bounded, cancel := context.WithTimeout(ctx, time.Duration(o.Timeout))
	defer cancel()
	select {
	case <-c.child.Done():
	case <-bounded.Done():
		killed := c.kill(context.WithoutCancel(ctx))
		var a answer
		said := ""
		if killed == nil {
			a = hear(<-output)
			if a.opening != "" {
				said = fmt.Sprintf(" while it opened %s", a.opening)
			}
		}
		if ctx.Err() != nil {
			c.interrupted(o.Command, said+a.printed())
			return answer{}, errors.Join(context.Cause(ctx), killed)
		}
		a.stderr = c.child.Stderr()
		said += a.printed()
		return answer{}, errors.Join(fmt.Errorf("%s had not ended after %v and was killed%s", o.Command[0], o.Timeout, said), killed)
	}
	code, err := c.exit()
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", o.Command[0], err)
	}
	a := hear(<-output)
	a.status, a.given, a.stderr = code, given, c.child.Stderr()
	return a, nil
}

const outputMax = 1 << 20 // bytes of a command's output that are read

// broke are the findings of a reader that says that promises are not kept: one
// of each kind.
func (v *Volume) broke(a answer, broken []said, why suspects, now time.Time) (all []verdict.Finding) {
	promised, blame := v.promisedWords(), v.blameCommand(why)
	found := map[verdict.Kind][]string{}
	var kinds []verdict.Kind
	for _, s := range broken {
		if found[s.kind] == nil {
			kinds = append(kinds, s.kind)
		}
		found[s.kind] = append(found[s.kind], s.all)
	}
	for _, k := range kinds {
		f := verdict.Finding{Kind: k, Target: v.Name(), First: now, Last: now, Promised: promised, Blame: blame, Found: excerpt(strings.Join(found[k], "\n"))}
		if a.stderr != "" {
			f.Found += "\non standard error: " + excerpt(a.stderr)
		}
		all = append(all, f)
	}
	return all
}

func (v *Volume) promisedWords() string {
	p := &v.promised
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == 0 {
		return "nothing that it has promised in a line"
	}
	return fmt.Sprintf("%d lines, the last %q at %s", p.lines, p.last, p.at.Format("15:04:05.000"))
}

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// at looks into decoded YAML; numbers are places in lists.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok || m[key] == nil {
				t.Fatalf("%v: there is no %v", path, key)
			}
			v = m[key]
		case int:
			l, ok := v.([]any)
			if !ok || key >= len(l) {
				t.Fatalf("%v: there is no number %v", path, key)
			}
			v = l[key]
		}
	}
	return v
}

// TestPressureDeployment holds the manifest to what a cautious cluster admits
// and to what the image and the binary do.
func TestPressureDeployment(t *testing.T) {
	b, err := os.ReadFile("../../deploy/pressure/pressure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]any{}
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var v map[string]any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds[v["kind"].(string)] = v
	}
	pod := at(t, kinds, "Deployment", "spec", "template", "spec")
	container := at(t, pod, "containers", 0)
	for _, c := range []struct {
		in   any
		path []any
		want any
	}{
		{pod, []any{"securityContext", "runAsNonRoot"}, true},
		{container, []any{"securityContext", "allowPrivilegeEscalation"}, false},
		{container, []any{"securityContext", "readOnlyRootFilesystem"}, true},
		{container, []any{"securityContext", "capabilities", "drop", 0}, "ALL"},
		{container, []any{"readinessProbe", "httpGet", "path"}, "/healthz"},
		{container, []any{"ports", 0, "containerPort"}, 8080},
		{kinds["Service"], []any{"spec", "ports", 0, "targetPort"}, "http"},
	} {
		if got := at(t, c.in, c.path...); got != c.want {
			t.Errorf("%v is %v, want %v", c.path, got, c.want)
		}
	}
	for _, resource := range []string{"cpu", "memory", "ephemeral-storage"} {
		at(t, container, "resources", "limits", resource)
	}
	labels := at(t, kinds, "Deployment", "spec", "template", "metadata", "labels", "app.kubernetes.io/name")
	if at(t, kinds, "Service", "spec", "selector", "app.kubernetes.io/name") != labels {
		t.Error("the Service selects other pods")
	}
	image, err := os.ReadFile("../../deploy/pressure/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	entry := regexp.MustCompile(`ENTRYPOINT \["/assay", (.*)\]`).FindSubmatch(image)
	if entry == nil || !bytes.Contains(image, []byte("USER 65532")) {
		t.Fatalf("the image: %s", image)
	}
	var line []string
	for word := range strings.SplitSeq(string(entry[1]), ", ") {
		line = append(line, strings.Trim(word, `"`))
	}
	p := press(t, t.TempDir(), nil, line...)
	if !strings.HasPrefix(p.on, "[::]:") && !strings.HasPrefix(p.on, "0.0.0.0:") {
		t.Errorf("it does not listen beyond loopback: %s", p.on)
	}
	if status, _ := fetch(t, p.url+"/healthz", ""); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
}

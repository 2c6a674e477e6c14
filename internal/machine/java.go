package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// JavaAtClients puts a java on the PATH, until the test ends, whose network is the clients', and which knows the site's names.
func (s *Site) JavaAtClients(t testing.TB) {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost\n"+s.names+ClientsAddress+" "+self+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec nsenter --target %d --net %s -Djdk.net.hosts.file=%s \"$@\"\n", s.clients, java, hosts)
	if err := os.WriteFile(filepath.Join(dir, "java"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

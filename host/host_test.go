package host

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/postgres/pgtest"
)

// settings stands in for internal/config: it notes that the files were saved.
type settings struct{ h *Host }

func (s settings) Shared() []byte { return []byte("cluster_id: " + s.h.ClusterID + "\n") }

func (s settings) SaveNode() error {
	return durable.WriteFile(filepath.Join(s.h.NodeDir(), "node.yaml"), []byte("name: "+s.h.Name+"\n"), 0o600)
}

// newHost is a host on 127.0.0.<n> whose directories do not exist yet.
func newHost(t *testing.T, name string, n int) *Host {
	t.Helper()
	home := filepath.Join(pgtest.Dir(t), name)
	h := &Host{
		Confdir: filepath.Join(home, ".keytrustee"), PGRoot: filepath.Join(home, "db"), Sockets: filepath.Join(filepath.Dir(home), "s"),
		LogDir: filepath.Join(home, "log"), Name: name, ExternalAddress: "127.0.0." + strconv.Itoa(n), ListenAddress: "127.0.0." + strconv.Itoa(n),
		Port: pgtest.FreePort(t), ClusterPort: pgtest.FreePort(t), DBPort: pgtest.FreePort(t), ClusterID: NewClusterID(),
		Peer: Peer{Source: "127.0.0.1"},
	}
	h.Settings = settings{h}
	return h
}

func mustInit(t *testing.T, h *Host) {
	t.Helper()
	if err := h.Init(pgtest.Context(t), InitOptions{}); err != nil {
		t.Fatal(err)
	}
}

// content maps each file below dir to what is in it.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

var errCrash = errors.New("crash")

// points runs do with a failpoint that only notes which points there are.
func points(t *testing.T, h *Host, do func() error) []string {
	t.Helper()
	var all []string
	h.failpoint = func(point string) error {
		all = append(all, point)
		return nil
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
	h.failpoint = nil
	return all
}

// apart reports whether a crash at the n-th point leaves something else than one at the next.
func apart(all []string, n int) bool {
	return !strings.Contains(all[n], ": before ") || n+1 == len(all) || strings.Contains(all[n+1], ": before ")
}

// crashAt ends the operation at its n-th point, and every later one that it should not reach.
func crashAt(n int) func(string) error {
	return func(string) error {
		if n--; n < 0 {
			return errCrash
		}
		return nil
	}
}

// stages notes the stages of a join.
type stages struct {
	said  []string
	bytes int64
}

func (s *stages) Stage(st Stage)      { s.said = append(s.said, st.String()) }
func (s *stages) Bytes(done, _ int64) { s.bytes = max(s.bytes, done) }

// joinOptions are those of h, which keeps its settings.
func joinOptions(h *Host, a *activeHost, token *certs.Token) JoinOptions {
	return JoinOptions{
		Token: token, Active: a.ExternalAddress, Name: h.Name, Address: h.ExternalAddress, Port: h.Port, ClusterPort: h.ClusterPort, DBPort: h.DBPort,
		Progress: new(stages),
		Configure: func(l Learned) (*Host, error) {
			c := *h
			c.Name, c.ExternalAddress, c.Peer = l.Name, l.Address, Peer{Name: l.Active.Name, Address: l.Active.Address, Source: "127.0.0.1"}
			c.Settings = settings{&c}
			return &c, c.Settings.SaveNode()
		},
	}
}

func hintOf(err error) string {
	if h := (*HintedError)(nil); errors.As(err, &h) {
		return h.Hint
	}
	return ""
}

func parse(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certs.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// chmodSecrets restores the modes that os.CopyFS does not keep.
func chmodSecrets(t *testing.T, h *Host) {
	t.Helper()
	for _, path := range []string{seal.RootPath(h.Confdir), sealedFile(h.Confdir, authorityBox), sealedFile(h.Confdir, cookieBox)} {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

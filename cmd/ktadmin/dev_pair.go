package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
)

// devPair is a pair on this machine under one directory, as it is kept in dev.json between commands. Scripts read pair.json.
type devPair struct {
	dir  string
	user *postgres.OSUser

	User        string
	Port        int
	DBPort      int
	ClusterPort int
	Sockets     string // a private directory with a short path
	Confirmed   bool   // the pair has been confirmed once: nothing is left to be set up
	Nodes       []*devNode
}

type devNode struct {
	pair *devPair

	Name    string
	Address string
}

// newDevPair lays out a pair under dir; nothing exists yet.
func newDevPair(dir string, user *postgres.OSUser, port, dbPort, clusterPort int) *devPair {
	p := &devPair{dir: dir, user: user, User: user.Name, Port: port, DBPort: dbPort, ClusterPort: clusterPort}
	p.Nodes = []*devNode{
		{pair: p, Name: "active", Address: "127.0.0.1"},
		{pair: p, Name: "passive", Address: "127.0.0.2"},
	}
	return p
}

func (p *devPair) active() *devNode  { return p.Nodes[0] }
func (p *devPair) passive() *devNode { return p.Nodes[1] }

func (p *devPair) node(name string) (*devNode, error) {
	for _, n := range p.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, usagef("%q is no node of the pair; its nodes are active and passive", name)
}

func (p *devPair) bin(program string) string { return filepath.Join(p.dir, "bin", program) }
func (p *devPair) recoveryFile() string      { return filepath.Join(p.active().home(), "recovery.key") }
func (p *devPair) publicFile() string        { return filepath.Join(p.dir, "pair.json") }
func (p *devPair) caFile() string            { return filepath.Join(p.dir, "ca.pem") }
func (p *devPair) kmsURI() string {
	return fmt.Sprintf("kms://https@%s;%s:%d/kms", p.active().Address, p.passive().Address, p.Port)
}

func (n *devNode) home() string    { return filepath.Join(n.pair.dir, n.Name) }
func (n *devNode) confdir() string { return filepath.Join(n.home(), ".keytrustee") }
func (n *devNode) data() string    { return filepath.Join(n.home(), "db") }
func (n *devNode) sockets() string { return filepath.Join(n.pair.Sockets, n.Name) }
func (n *devNode) caFile() string  { return filepath.Join(n.confdir(), "ca.pem") }
func (n *devNode) url() string     { return fmt.Sprintf("https://%s:%d", n.Address, n.pair.Port) }

func (n *devNode) peer() *devNode {
	if n == n.pair.active() {
		return n.pair.passive()
	}
	return n.pair.active()
}

// environment configures the production commands for this node; nothing of ours reaches them by another way.
func (n *devNode) environment() []string {
	p := n.pair
	env := []string{"HOME=" + n.home()}
	for _, name := range []string{"PATH", "TERM", "LANG", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for key, value := range map[string]string{
		"NAME":             n.Name,
		"EXTERNAL_ADDRESS": n.Address,
		"LISTEN_ADDRESS":   n.Address,
		"PORT":             strconv.Itoa(p.Port),
		"CLUSTER_PORT":     strconv.Itoa(p.ClusterPort),
		"DB_PORT":          strconv.Itoa(p.DBPort),
		"PG_ROOTDIR":       n.data(),
		"SOCKET_DIR":       n.sockets(),
		"LOG_DIR":          filepath.Join(n.home(), "log"),
		"USER":             p.User,
		"PEER_NAME":        n.peer().Name,
		"PEER_ADDRESS":     n.peer().Address,
		"PEER_SOURCE":      "127.0.0.1", // where all connections of this machine to itself come from
	} {
		env = append(env, "KEYTRUSTEE_"+key+"="+value)
	}
	return env
}

// withDevPair calls do with the pair under dir while no other command works on it, and saves what do has changed in it.
func withDevPair(dir string, do func(*devPair) error) error {
	dir, err := devDir(dir)
	if err != nil {
		return err
	}
	absent := &postgres.SetupError{Problem: "there is no pair under " + dir, Remedy: "ktadmin dev up --dir " + dir}
	unlock, err := lockDev(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return absent
	} else if err != nil {
		return err
	}
	defer unlock()
	p, err := loadDevPair(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return absent
	} else if err != nil {
		return err
	}
	return errors.Join(do(p), p.save())
}

func devDir(dir string) (string, error) {
	if dir == "" {
		return "", usagef("--dir is missing: name a directory for the pair")
	}
	dir, err := filepath.Abs(dir)
	if resolved, gone := filepath.EvalSymlinks(dir); gone == nil { // as the kernel names the directory that a process works in
		dir = resolved
	}
	return dir, err
}

func lockDev(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
	}
	return func() { f.Close() }, nil
}

func loadDevPair(dir string) (*devPair, error) {
	data, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if err != nil {
		return nil, err
	}
	if err := checkOwnDir(dir); err != nil {
		return nil, err
	}
	p := &devPair{dir: dir}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("reading %s/dev.json: %w", dir, err)
	}
	for _, n := range p.Nodes {
		n.pair = p
	}
	p.user, err = postgres.LookupOSUser(p.User)
	return p, err
}

// save records the pair: dev.json always, pair.json from the pair's first confirmation on, but not while it is down.
func (p *devPair) save() error {
	if err := writeJSONFile(filepath.Join(p.dir, "dev.json"), p); err != nil {
		return err
	}
	if !p.Confirmed {
		return nil
	}
	if p.Sockets == "" { // all of it was ended
		return durable.Remove(p.publicFile())
	}
	return writeJSONFile(p.publicFile(), p.public())
}

func writeJSONFile(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o644)
}

// pairFile is pair.json, a stable contract.
type pairFile struct {
	KMSURI string         `json:"kms_uri"`
	CAFile string         `json:"ca_file"`
	User   string         `json:"user"`
	Nodes  []pairFileNode `json:"nodes"`
}

type pairFileNode struct {
	Name     string         `json:"name"`
	Address  string         `json:"address"`
	URL      string         `json:"url"`
	Home     string         `json:"home"`
	Confdir  string         `json:"confdir"`
	PGData   string         `json:"pg_data"`
	PGPort   int            `json:"pg_port"`
	AdminDSN string         `json:"admin_dsn"`
	Pids     map[string]int `json:"pids"` // of what runs
}

func (p *devPair) public() pairFile {
	f := pairFile{KMSURI: p.kmsURI(), CAFile: p.caFile(), User: p.User}
	for _, n := range p.Nodes {
		f.Nodes = append(f.Nodes, pairFileNode{
			Name: n.Name, Address: n.Address, URL: n.url(), Home: n.home(), Confdir: n.confdir(),
			PGData: n.data(), PGPort: p.DBPort, AdminDSN: n.server().ConnString(devDatabase), Pids: n.pids(),
		})
	}
	return f
}

const devDatabase = "keytrustee"

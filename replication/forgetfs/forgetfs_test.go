package forgetfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keytrustee/internal/durable"
	"keytrustee/postgres/pgtest"
)

// mounted returns a file system of pgtest.User that is gone at the test's end.
func mounted(t *testing.T, options Options) *FS {
	t.Helper()
	dir := filepath.Join(pgtest.Dir(t), "m")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if u := pgtest.User(t); u != nil {
		if err := os.Chown(dir, u.UID, u.GID); err != nil {
			t.Fatal(err)
		}
	}
	f := mustMount(t, dir, t.TempDir(), options)
	t.Cleanup(func() {
		if err := f.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// mustMount is Mount, without which there is nothing to test. Who is not root may mount where the machine lets him.
func mustMount(t *testing.T, dir, backing string, options Options) *FS {
	t.Helper()
	f, err := Mount(dir, backing, options)
	if err != nil && os.Geteuid() != 0 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *FS) forget(t *testing.T) {
	t.Helper()
	if err := f.Forget(); err != nil {
		t.Fatal(err)
	}
}

// a disk is a directory in which a test does what must not fail.
type disk struct {
	*testing.T
	dir string
}

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d disk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// write writes the text at the offset, with flags beside those for a file that may be new, and syncs it if it is to.
func (d disk) write(name string, offset int64, text string, flags int, sync bool) {
	d.Helper()
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|flags, 0o644)
	d.must(err)
	defer f.Close()
	if flags&os.O_APPEND != 0 {
		_, err = f.WriteString(text)
	} else {
		_, err = f.WriteAt([]byte(text), offset)
	}
	d.must(err)
	if sync {
		d.must(unix.Fdatasync(int(f.Fd())))
	}
}

func (d disk) rename(from, to string) { d.Helper(); d.must(os.Rename(d.path(from), d.path(to))) }
func (d disk) remove(name string)     { d.Helper(); d.must(os.Remove(d.path(name))) }
func (d disk) mkdir(name string)      { d.Helper(); d.must(os.Mkdir(d.path(name), 0o755)) }
func (d disk) syncDir(name string)    { d.Helper(); d.must(durable.SyncDir(d.path(name))) }

// shows is every name below the directory, and what the files hold.
func (d disk) shows() string {
	d.Helper()
	var all []string
	d.must(filepath.WalkDir(d.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || path == d.dir {
			return err
		}
		name, _ := filepath.Rel(d.dir, path)
		if entry.IsDir() {
			all = append(all, name+"/")
			return nil
		}
		content, err := os.ReadFile(path)
		all = append(all, name+"="+strings.ReplaceAll(string(content), "\x00", "."))
		return err
	}))
	return strings.Join(all, " ")
}

// TestForget says of each thing that was done what is there after the loss of power.
func TestForget(t *testing.T) {
	const whole, synced = "old", true
	f := mounted(t, Options{Lasting: []string{"*.log"}})
	for _, c := range []struct {
		name string
		do   func(d disk) // to a directory that holds a=old and sub/, durable
		want string
	}{
		{"nothing", func(d disk) {}, "a=old sub/"},
		{"append", func(d disk) { d.write("a", 0, "+more", os.O_APPEND, false) }, "a=old sub/"},
		{"append, fdatasync", func(d disk) { d.write("a", 0, "+more", os.O_APPEND, synced) }, "a=old+more sub/"},
		{"append, fdatasync, append", func(d disk) {
			d.write("a", 0, "+more", os.O_APPEND, synced)
			d.write("a", 0, "+lost", os.O_APPEND, false)
		}, "a=old+more sub/"},
		{"append through O_DSYNC", func(d disk) { d.write("a", 0, "+more", os.O_APPEND|unix.O_DSYNC, false) }, "a=old+more sub/"},
		{"append through O_SYNC", func(d disk) { d.write("a", 0, "+more", os.O_APPEND|unix.O_SYNC, false) }, "a=old+more sub/"},
		{"overwrite", func(d disk) { d.write("a", 1, "_", 0, false) }, "a=old sub/"},
		{"overwrite, fdatasync, overwrite", func(d disk) { d.write("a", 1, "_", 0, synced); d.write("a", 0, "X", 0, false) }, "a=o_d sub/"},
		{"write behind the end", func(d disk) { d.write("a", 5, "x", 0, false) }, "a=old sub/"},
		{"truncate at open", func(d disk) { d.write("a", 0, "n", os.O_TRUNC, false) }, "a=old sub/"},
		{"truncate, fdatasync", func(d disk) { d.write("a", 0, "n", os.O_TRUNC, synced) }, "a=n sub/"},
		{"truncate longer", func(d disk) { d.must(os.Truncate(d.path("a"), 9)) }, "a=old sub/"},
		{"create, fdatasync of nothing else", func(d disk) { d.write("b", 0, "new", 0, false) }, "a=old sub/"},
		{"create, fdatasync", func(d disk) { d.write("b", 0, "new", 0, synced) }, "a=old b=new sub/"},
		{"create, fsync of the directory alone", func(d disk) { d.write("b", 0, "new", 0, false); d.syncDir(".") }, "a=old b= sub/"},
		{"create below what was created, fdatasync", func(d disk) { d.mkdir("x"); d.mkdir("x/y"); d.write("x/y/b", 0, "new", 0, synced) },
			"a=old sub/ x/ x/y/ x/y/b=new"},
		{"remove", func(d disk) { d.remove("a") }, "a=old sub/"},
		{"remove, fsync of the directory", func(d disk) { d.remove("a"); d.syncDir(".") }, "sub/"},
		{"overwrite, remove", func(d disk) { d.write("a", 0, "X", 0, false); d.remove("a") }, "a=old sub/"},
		{"remove, create another, fsync of the directory", func(d disk) {
			d.remove("a")
			d.write("a", 0, "new", 0, false)
			d.syncDir(".")
		}, "a= sub/"},
		{"create and remove", func(d disk) { d.write("b", 0, "new", 0, false); d.remove("b") }, "a=old sub/"},
		{"rename", func(d disk) { d.rename("a", "b") }, "a=old sub/"},
		{"rename, fsync of the directory", func(d disk) { d.rename("a", "b"); d.syncDir(".") }, "b=old sub/"},
		{"replace", func(d disk) { d.write("t", 0, "new", 0, synced); d.rename("t", "a") }, "a=old sub/ t=new"},
		{"replace, fsync of the directory", func(d disk) { d.write("t", 0, "new", 0, synced); d.rename("t", "a"); d.syncDir(".") }, "a=new sub/"},
		{"replace without fdatasync, fsync of the directory", func(d disk) {
			d.write("t", 0, "new", 0, false)
			d.rename("t", "a")
			d.syncDir(".")
		}, "a= sub/"},
		{"move, fsync of the one directory", func(d disk) { d.rename("a", "sub/a"); d.syncDir("sub") }, "a=old sub/"},
		{"move, fsync of the other directory", func(d disk) { d.rename("a", "sub/a"); d.syncDir(".") }, "a=old sub/"},
		{"move, fsync of both", func(d disk) { d.rename("a", "sub/a"); d.syncDir("sub"); d.syncDir(".") }, "sub/ sub/a=old"},
		{"move the directory", func(d disk) { d.write("sub/c", 0, "c", 0, synced); d.rename("sub", "dir") }, "a=old sub/ sub/c=c"},
		{"link", func(d disk) { d.must(os.Link(d.path("a"), d.path("b"))) }, "a=old sub/"},
		{"link, fsync of the file", func(d disk) {
			d.must(os.Link(d.path("a"), d.path("b")))
			d.write("b", 0, "X", 0, synced)
		}, "a=Xld sub/"},
		{"rmdir", func(d disk) { d.remove("sub") }, "a=old sub/"},
		{"rmdir of what held something", func(d disk) {
			d.write("sub/c", 0, "c", 0, synced)
			d.remove("sub/c")
			d.remove("sub")
		}, "a=old sub/ sub/c=c"},
		{"rmdir of what held something, fsync of the directory", func(d disk) {
			d.write("sub/c", 0, "c", 0, synced)
			d.remove("sub/c")
			d.remove("sub")
			d.syncDir(".")
		}, "a=old"},
		{"our own WriteFile", func(d disk) { d.must(durable.WriteFile(d.path("a"), []byte("new"), 0o600)) }, "a=new sub/"},
		{"our own CreateFile", func(d disk) {
			d.must(durable.CreateFile(d.path("b"), []byte("new"), 0o600))
			d.syncDir(".") // it does not wait until its other name is gone
		}, "a=old b=new sub/"},
		{"our own Remove", func(d disk) { d.must(durable.Remove(d.path("a"))) }, "sub/"},
		{"our own Rename", func(d disk) { d.must(durable.Rename(d.path("a"), d.path("sub/a"))) }, "sub/ sub/a=old"},
		{"our own MkdirAll", func(d disk) { d.must(durable.MkdirAll(d.path("x/y"), 0o700)) }, "a=old sub/ x/ x/y/"},
		{"a file that lasts", func(d disk) { d.write("x.log", 0, "line", os.O_APPEND, false) }, "a=old sub/ x.log=line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := disk{t, filepath.Join(f.dir, "d")}
			d.must(durable.MkdirAll(d.path("sub"), 0o755))
			d.must(durable.WriteFile(d.path("a"), []byte(whole), 0o644))
			c.do(d)
			f.forget(t)
			if got := d.shows(); got != c.want {
				t.Errorf("after the loss: %s\nwant:           %s", got, c.want)
			}
			d.must(os.RemoveAll(d.dir))
			d.must(durable.SyncDir(f.dir))
		})
	}
}

// TestOthersAreNotInTheWay: who has a file open keeps the file system from being taken away, and is named.
func TestOthersAreNotInTheWay(t *testing.T) {
	f := mounted(t, Options{})
	open, err := os.Create(filepath.Join(f.dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Forget(); err == nil || !strings.Contains(err.Error(), filepath.Join(f.dir, "open")) {
		t.Errorf("error %v", err)
	}
	if _, err := open.WriteString("x"); err != nil {
		t.Errorf("it forgot: %v", err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	f.forget(t)
	if got := (disk{t, f.dir}).shows(); got != "" {
		t.Errorf("it did not forget %s", got)
	}
}

// TestUnmountKeeps: a file system that is taken away in order has lost nothing, and what it held is durable for the next.
func TestUnmountKeeps(t *testing.T) {
	dir, backing := t.TempDir(), t.TempDir()
	for range 2 {
		f := mustMount(t, dir, backing, Options{})
		d := disk{t, f.dir}
		d.write("a", 0, "x", os.O_APPEND, false)
		if err := f.Unmount(); err != nil {
			t.Fatal(err)
		}
	}
	f := mustMount(t, dir, backing, Options{})
	f.forget(t)
	if got := (disk{t, f.dir}).shows(); got != "a=xx" {
		t.Errorf("it holds %s", got)
	}
	if err := f.Unmount(); err != nil {
		t.Fatal(err)
	}
}

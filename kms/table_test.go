package kms_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

func TestManyThatHangUp(t *testing.T) { // 24
	r := kmstest.NewService(t)
	victim := kmstest.Call("victim")
	create(t, r.Service, victim, "v").must(t).hand.Returned()
	for i := range 10_000 {
		create(t, r.Service, kmstest.Call("mallory"), fmt.Sprint("m", i)).must(t).hand.Returned()
	}
	if n, _ := r.Attempts(); n != 65 {
		t.Errorf("the table has %d attempts; want 64 of mallory and the victim's", n)
	}
	create(t, r.Service, victim, "v").must(t).hand.Told()
	create(t, r.Service, kmstest.Call("mallory"), "m0").want(t, kms.ErrKeyExists)
	create(t, r.Service, kmstest.Call("mallory"), "m9999").must(t).hand.Told()
	for i := range 3000 {
		create(t, r.Service, kmstest.Call(fmt.Sprint("user", i)), fmt.Sprint("u", i)).must(t).hand.Returned()
	}
	if n, _ := r.Attempts(); n > 1024 {
		t.Errorf("the table has %d attempts; want at most 1024", n)
	}
}

func TestManyThatWait(t *testing.T) { // 24
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		release := held(r)
		const n = 200
		var waiting []<-chan answer
		for range n {
			waiting = append(waiting, begin(func() answer { return create(t, r.Service, alice, "k") }))
		}
		synctest.Wait()
		if _, w := r.Attempts(); w != 64 {
			t.Errorf("%d deliveries wait; want 64", w)
		}
		var own []<-chan answer
		for i := range n {
			own = append(own, begin(func() answer { return create(t, r.Service, kmstest.Call("bob"), fmt.Sprint(i)) }))
		}
		synctest.Wait()
		if a, _ := r.Attempts(); a != 65 {
			t.Errorf("%d attempts; want alice's and 64 of bob", a)
		}
		time.Sleep(6 * time.Second)
		count := map[string]int{}
		for _, c := range append(waiting, own...) {
			a := <-c
			if errors.Is(a.err, kms.ErrOutcomeUnknown) {
				count["unknown"]++
			} else {
				a.wantReason(t, kms.ReasonBusy)
			}
		}
		if count["unknown"] != 1+64+64 {
			t.Errorf("%d are unknown; want 129", count["unknown"])
		}
		if _, w := r.Attempts(); w != 0 {
			t.Errorf("%d deliveries wait still", w)
		}
		release()
	})
}

func TestTableHoldsNoMaterial(t *testing.T) { // 26
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		secret := []byte("sixteen byte key")
		given := kms.CreateRequest{Name: "k", Material: kms.NewMaterial(secret)}
		c := alice
		c.Body = append([]byte("body with "), secret...)
		_, h, err := r.CreateKey(t.Context(), c, given)
		if err != nil {
			t.Fatal(err)
		}
		h.Returned()
		release := held(r)
		given.Name = "unresolved"
		waiting := begin(func() answer {
			v, h, err := r.CreateKey(t.Context(), c, given)
			return answer{v, h, err}
		})
		synctest.Wait()
		if n, _ := r.Attempts(); n != 2 {
			t.Fatalf("the table has %d attempts; want 2", n)
		}
		w := walker{secret: secret, seen: map[uintptr]bool{}}
		w.walk(reflect.ValueOf(r.Table()))
		if w.found || w.visited < 50 {
			t.Errorf("found the material: %t, after %d values", w.found, w.visited)
		}
		w = walker{secret: secret, seen: map[uintptr]bool{}}
		w.walk(reflect.ValueOf(given))
		if !w.found {
			t.Error("the walk does not find material where it is")
		}
		release()
		(<-waiting).must(t)
	})
}

// walker looks for a secret in all that a value leads to.
type walker struct {
	secret  []byte
	seen    map[uintptr]bool
	visited int
	found   bool
}

func (w *walker) walk(v reflect.Value) {
	w.visited++
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !w.seen[v.Pointer()] {
			w.seen[v.Pointer()] = true
			w.walk(v.Elem())
		}
	case reflect.Interface:
		w.walk(v.Elem())
	case reflect.Struct:
		for _, f := range v.Fields() {
			w.walk(f)
		}
	case reflect.Map:
		for k, e := range v.Seq2() {
			w.walk(k)
			w.walk(e)
		}
	case reflect.String:
		w.found = w.found || bytes.Contains([]byte(v.String()), w.secret)
	case reflect.Slice, reflect.Array:
		var b []byte
		for i := range v.Len() {
			if v.Index(i).Kind() == reflect.Uint8 {
				b = append(b, byte(v.Index(i).Uint()))
			} else {
				w.walk(v.Index(i))
			}
		}
		w.found = w.found || bytes.Contains(b, w.secret)
	}
}

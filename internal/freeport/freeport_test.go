package freeport

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

func TestPick(t *testing.T) {
	ports, err := Pick(20, "127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if len(slices.Compact(slices.Clone(ports))) != 20 || ports[0] < lowest || ports[19] >= highest {
		t.Errorf("ports %v", ports)
	}
	for _, port := range ports {
		for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
			l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		}
	}
	if held, err := hold(ports[0], []string{"127.0.0.1"}); err == nil || len(held) > 0 {
		t.Errorf("port %d is used and was taken for free", ports[0])
	}
}

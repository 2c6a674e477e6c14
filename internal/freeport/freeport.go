// Package freeport finds ports for servers that are stopped and started again, in tests and in the demo.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports that are tried. They lie below those that Linux gives to outgoing connections (ip_local_port_range, from 32768
// on), one of which would otherwise take the port of a server while that is down.
const lowest, highest = 15000, 32000

// Pick returns n different ports that no program had a moment ago on any of the addresses.
func Pick(n int, addresses ...string) ([]int, error) {
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowest + rand.IntN(highest-lowest)
		held, err := hold(port, addresses)
		for _, l := range held {
			defer l.Close() // held until all are found, so that none is found twice
		}
		if err == nil {
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("no %d ports are free on %v", n, addresses)
}

func hold(port int, addresses []string) (held []net.Listener, err error) {
	for _, address := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			return held, err
		}
		held = append(held, l)
	}
	return held, nil
}

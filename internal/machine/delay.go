package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// line is a longer way from a host's wire to the switch: what passes it waits.
type line struct {
	delay time.Duration
	stop  chan struct{}
	ends  [2]int // sockets, at the wire and at the switch
}

// port is the switch's end of the host's line, if it has one.
func (h *Host) port() string { return fmt.Sprintf("line%d", h.pid) }

// Delay lets what the host and the other hosts send each other arrive that much later, each way, in its order. What clients send and are sent
// is not late. 0 ends it.
func (s *Site) Delay(t testing.TB, h *Host, delay time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.lines[h]; old != nil {
		close(old.stop)
		delete(s.lines, h)
		ip(t, s.clients, "link set "+h.wire()+" arp on")
		ip(t, s.clients, "link set "+h.wire()+" master switch")
		ip(t, s.clients, "link del "+h.port())
	}
	if delay == 0 {
		return
	}
	far := h.port() + "b"
	ip(t, s.clients, fmt.Sprintf("link add %s type veth peer name %s", h.port(), far))
	ip(t, s.clients, "link set "+far+" arp off up") // it only passes on, and answers to nobody
	ip(t, s.clients, "link set "+h.port()+" master switch up")
	ip(t, s.clients, "link set "+h.wire()+" nomaster")
	ip(t, s.clients, "link set "+h.wire()+" arp off")
	l := &line{delay: delay, stop: make(chan struct{})}
	err := inNetworkOf(s.clients, func() (err error) {
		for i, name := range []string{h.wire(), far} {
			if l.ends[i], err = frames(name); err != nil {
				return fmt.Errorf("listening on %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.lines[h] = l
	hosts := map[netip.Addr]bool{}
	for _, h := range s.Hosts {
		hosts[netip.MustParseAddr(h.Address)] = true
	}
	var running sync.WaitGroup
	running.Go(func() { l.carry(l.ends[0], l.ends[1], hosts) })
	running.Go(func() { l.carry(l.ends[1], l.ends[0], hosts) })
	go func() {
		running.Wait()
		unix.Close(l.ends[0])
		unix.Close(l.ends[1])
	}()
}

// stopLines ends what carries frames, for good.
func (s *Site) stopLines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		close(l.stop)
	}
	clear(s.lines)
}

// frames opens a socket for all that arrives at the interface, and to send from there. Each frame has a header with what the network card
// would still have to do, a checksum for instance, which is handed on.
func frames(name string) (int, error) {
	at, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(at.Index), Type: unix.PACKET_MR_PROMISC}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}), // how often it looks whether it ends
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: at.Index}),
	)
	return fd, err
}

// frame is what arrived, and when it goes on.
type frame struct {
	data []byte
	due  time.Time
}

// carry hands what arrives at one end on at the other, until the line stops. What two hosts send each other it keeps for the delay.
func (l *line) carry(from, to int, hosts map[netip.Addr]bool) {
	late := make(chan frame, 1<<14)
	var sender sync.WaitGroup
	sender.Go(func() {
		for f := range late {
			time.Sleep(time.Until(f.due))
			unix.Write(to, f.data) // the far end may be gone
		}
	})
	defer sender.Wait()
	defer close(late)
	buffer := make([]byte, 1<<17)
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		n, err := unix.Read(from, buffer)
		if err != nil {
			continue // nobody sent, or the interface is down for a while
		}
		data := append([]byte(nil), buffer[:n]...)
		if !betweenHosts(data, hosts) {
			unix.Write(to, data)
			continue
		}
		late <- frame{data, time.Now().Add(l.delay)}
	}
}

// betweenHosts reports whether the frame, after its header, is an IPv4 packet from one host to another.
func betweenHosts(data []byte, hosts map[netip.Addr]bool) bool {
	const header, ethernet = 10, 14
	if len(data) < header+ethernet+20 || binary.BigEndian.Uint16(data[header+12:]) != unix.ETH_P_IP {
		return false
	}
	packet := data[header+ethernet:]
	return hosts[netip.AddrFrom4([4]byte(packet[12:16]))] && hosts[netip.AddrFrom4([4]byte(packet[16:20]))]
}

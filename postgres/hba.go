package postgres

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// HBA says who may connect besides the administrators, who always may through the socket, also for a local base backup.
// The zero HBA is closed: nobody.
type HBA struct {
	Replication []ReplicationPeer
}

// ReplicationPeer may stream the write-ahead log.
type ReplicationPeer struct {
	Address string // where it comes from: an IP address, a prefix such as 10.0.0.0/24, or a host name
	CN      string // the common name of its certificate, which the authority in TLS.CA must have signed
}

// WriteHBA replaces pg_hba.conf and pg_ident.conf. They are durable when it returns nil; after an error nobody is let in
// who was not before. Reload or a start makes them take effect, for new connections: one that stands goes on.
func (s *Server) WriteHBA(h HBA) error {
	hba := []string{
		"# Written by keytrustee; changes made by hand are lost.",
		"local all         " + Superuser + " peer map=sup",
		"local replication " + Superuser + " peer map=sup",
	}
	ident := slices.Clone(hba[:1])
	for _, name := range s.Admins {
		quoted, err := quoteHBA(name)
		if err != nil {
			return fmt.Errorf("admin %w", err)
		}
		ident = append(ident, "sup "+quoted+" "+Superuser)
	}
	maps := map[string]int{} // by address
	for i, peer := range h.Replication {
		address, err := hbaAddress(peer.Address)
		if err != nil {
			return err
		}
		cn, err := quoteHBA(peer.CN)
		if err != nil {
			return fmt.Errorf("common name %w", err)
		}
		// A map of its own for each address: a certificate is good from its own address only. Of two lines for one address
		// PostgreSQL looks at the first alone.
		n, known := maps[address]
		if !known {
			n, maps[address] = i, i
			hba = append(hba, fmt.Sprintf("hostssl replication %s %s cert map=peer%d", Replicator, address, i))
		}
		ident = append(ident, fmt.Sprintf("peer%d %s %s", n, cn, Replicator))
	}
	if err := s.writeConf("pg_ident.conf", strings.Join(ident, "\n")+"\n"); err != nil {
		return err
	}
	return s.writeConf("pg_hba.conf", strings.Join(hba, "\n")+"\n")
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// reservedAddresses have a meaning of their own in pg_hba.conf.
var reservedAddresses = []string{"all", "samehost", "samenet"}

func hbaAddress(s string) (string, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()).String(), nil
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Masked().String(), nil
	}
	if !hostPattern.MatchString(s) || slices.Contains(reservedAddresses, strings.ToLower(s)) {
		return "", fmt.Errorf("address %q is neither an IP address nor a host name", s)
	}
	return s, nil
}

// quoteHBA writes a name so that it is nothing but that name: not a keyword, a pattern or several.
func quoteHBA(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, "\"\\\n\r\x00") || strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%q can not be written into PostgreSQL's access rules", name)
	}
	return `"` + name + `"`, nil
}

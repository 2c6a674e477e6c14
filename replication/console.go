package replication

import (
	"cmp"
	"fmt"

	"keytrustee/postgres"
)

// console is how root of a host gives its PostgreSQL a statement. The access rules admit the service's user alone, through the
// socket. A field that is zero is as documented.
type console struct {
	user, socket string
	port         int
}

// run is the command that does it. sql holds nothing that a shell heeds between double quotes.
func (c console) run(sql string) string {
	return fmt.Sprintf(`runuser -u %s -- psql -h %s -p %d -U %s -d postgres -c "%s"`,
		cmp.Or(c.user, "keytrustee"), cmp.Or(c.socket, "/run/keytrustee"), cmp.Or(c.port, 11381), postgres.Superuser, sql)
}

// console is this host's.
func (m *Monitor) console() console {
	c := console{socket: m.server.Socket, port: m.server.Port}
	if len(m.server.Admins) > 0 {
		c.user = m.server.Admins[0]
	}
	return c
}

// peerConsole is the other host's: what it has configured is not known here, but for the port.
func (s State) peerConsole() console {
	if s.Peer == nil {
		return console{}
	}
	return console{port: s.Peer.DatabasePort}
}

// resumeReplay is what to do at a standby whose replay is paused.
const resumeReplay = "select pg_wal_replay_resume()"

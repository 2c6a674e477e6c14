package postgres

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"keytrustee/internal/durable"
)

// NoStandby is the name in synchronous_standby_names before a passive is synchronous. Nobody may bear it, so no commit
// above the level local ends.
const NoStandby = "kt_no_passive_yet"

// Settings are what changes in a server's configuration during its life.
type Settings struct {
	SynchronousStandbyNames string            // as PostgreSQL reads it, names in double quotes; empty: NoStandby
	PrimaryConninfo         string            // where a standby streams from; empty: nowhere
	PrimarySlotName         string            // the slot it uses there
	Extra                   map[string]string // other settings, which take precedence over all that is fixed here
}

// setting is one line of postgresql.conf.
type setting struct{ name, value string }

// fixed is what makes a commit mean what the pair promises, and what finds the loss of the other host within seconds.
var fixed = []setting{
	{"wal_level", "replica"},
	{"max_wal_senders", "6"},
	{"max_replication_slots", "4"},
	{"hot_standby", "on"},
	{"fsync", "on"},
	{"full_page_writes", "on"},
	{"data_sync_retry", "off"},
	{"wal_log_hints", "on"},
	{"synchronous_commit", "remote_apply"},
	{"restart_after_crash", "off"}, // a start that nobody watches would show rows that only this host has
	{"wal_sender_timeout", "2s"},
	{"wal_receiver_timeout", "3s"},
	{"wal_receiver_status_interval", "1s"},
	{"wal_retrieve_retry_interval", "500ms"},
	{"tcp_user_timeout", "2000"},
	{"tcp_keepalives_idle", "1"},
	{"tcp_keepalives_interval", "1"},
	{"tcp_keepalives_count", "2"},
	{"hot_standby_feedback", "on"},
	{"max_standby_streaming_delay", "1s"}, // a reader on the standby holds back the commits of the primary no longer
	{"max_standby_archive_delay", "1s"},
	{"recovery_min_apply_delay", "0"},
	{"max_slot_wal_keep_size", "1GB"},
	{"wal_keep_size", "128MB"},
	{"max_wal_size", "256MB"},
	{"max_connections", "40"},
	{"superuser_reserved_connections", "5"},
	{"authentication_timeout", "5s"}, // who only connects holds one of about a hundred places, before any rule is asked
	{"idle_in_transaction_session_timeout", "5s"},
	{"client_connection_check_interval", "0"},
	{"shared_preload_libraries", ""},
	{"archive_mode", "off"},
	{"track_counts", "on"}, // ControlWrite looks at them
	{"logging_collector", "off"},
	{"log_destination", "stderr"},
	{"log_line_prefix", "%m [%p] %q%a "},
	{"log_error_verbosity", "terse"}, // a DETAIL quotes the names of keys as they are, terminal codes included
	{"log_timezone", "UTC"},
	{"timezone", "UTC"},
	{"lc_messages", "C"},
}

// WriteSettings replaces postgresql.conf by one that says all of set, of s, and of what never changes. It is durable when
// WriteSettings returns nil, and as it was after an error; Reload or a start makes it take effect.
func (s *Server) WriteSettings(set Settings) error {
	names := set.SynchronousStandbyNames
	if names == "" {
		names = strconv.Quote(NoStandby)
	}
	lines := slices.Concat(s.ownSettings(), fixed, []setting{
		{"synchronous_standby_names", names},
		{"primary_conninfo", set.PrimaryConninfo},
		{"primary_slot_name", set.PrimarySlotName},
	})
	for _, name := range slices.Sorted(maps.Keys(set.Extra)) {
		lines = append(lines, setting{name, set.Extra[name]}) // of two lines the later one holds
	}
	var b strings.Builder
	b.WriteString("# Written by keytrustee; changes made by hand are lost.\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "%s = %s\n", line.name, quoteSetting(line.value))
	}
	return s.writeConf("postgresql.conf", b.String())
}

// ownSettings are those that follow from where the server is.
func (s *Server) ownSettings() []setting {
	lines := []setting{
		{"listen_addresses", strings.Join(s.Listen, ",")},
		{"port", strconv.Itoa(s.Port)},
		{"unix_socket_directories", `"` + strings.ReplaceAll(s.Socket, `"`, `""`) + `"`},
		{"unix_socket_permissions", "0700"},
		{"ssl", "off"},
	}
	if s.TLS.Cert != "" {
		lines = append(lines[:len(lines)-1],
			setting{"ssl", "on"},
			setting{"ssl_cert_file", s.TLS.Cert},
			setting{"ssl_key_file", s.TLS.Key},
			setting{"ssl_ca_file", s.TLS.CA},
			setting{"ssl_min_protocol_version", "TLSv1.3"})
	}
	return lines
}

// quoteSetting writes a value as postgresql.conf reads it.
func quoteSetting(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`, "\r", `\r`).Replace(value) + "'"
}

// writeConf replaces a file of Conf, which it makes if it is not there. The files hold no secret, and are readable from
// the first moment on: a reload may come at any time.
func (s *Server) writeConf(name, content string) error {
	if err := s.RunAs.makeDir(s.Conf); err != nil {
		return err
	}
	if err := durable.WriteFile(s.confFile(name), []byte(content), 0o644); err != nil {
		return err
	}
	return s.RunAs.own(s.confFile(name))
}

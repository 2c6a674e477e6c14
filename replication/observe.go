package replication

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// settingsOfInterest are those that durableSettings, ownSettings and peerSettings look at, and a few that people ask for.
var settingsOfInterest = []string{"synchronous_commit", "synchronous_standby_names", "fsync", "full_page_writes", "data_sync_retry",
	"data_checksums", "zero_damaged_pages", "ignore_checksum_failure", "restart_after_crash", "hot_standby", "recovery_min_apply_delay",
	"wal_sync_method", "primary_slot_name"}

// observeSQL asks a server, primary or standby, for everything that Server holds. pg_settings would show what this session
// has; current_setting of a session that changes nothing is what every session begins with, unless pg_db_role_setting
// says otherwise, which is why that is counted.
const observeSQL = `
select pg_is_in_recovery(),
       (select system_identifier from pg_control_system()),
       current_setting('server_version_num')::int,
       case when pg_is_in_recovery()
            then greatest((select timeline_id from pg_control_checkpoint()), coalesce((select received_tli from pg_stat_wal_receiver), 0))
            else ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int end,
       case when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) else pg_current_wal_flush_lsn() end::text,
       case when pg_is_in_recovery() then coalesce(pg_last_wal_replay_lsn(), '0/0') else pg_current_wal_flush_lsn() end::text,
       case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() <> 'not paused' else false end,
       (select json_object_agg(name, coalesce(current_setting(name, true), '')) from unnest($1::text[]) as name)::text,
       (select count(*) from pg_db_role_setting),
       coalesce((select status from pg_stat_wal_receiver), ''),
       (select extract(epoch from clock_timestamp() - last_msg_receipt_time)::float8 from pg_stat_wal_receiver where status = 'streaming'),
       (select to_regclass('control.epoch') is not null), pg_postmaster_start_time(),
       coalesce(damaged.n, 0), coalesce(damaged.at, 'epoch')
from (select sum(checksum_failures)::bigint as n, max(checksum_last_failure) as at from pg_stat_database) damaged`

// observeServer fills in what conn's server says of itself.
func observeServer(ctx context.Context, conn *pgx.Conn, start string) (Server, error) {
	s := Server{Answers: true, Start: start, Role: Primary, MessageAge: Never}
	var (
		recovery, hasEpoch bool
		systemID           int64
		flushed, replayed  string
		settings           string
		message            *float64
	)
	err := conn.QueryRow(ctx, observeSQL, settingsOfInterest).Scan(&recovery, &systemID, &s.Version, &s.Timeline, &flushed, &replayed,
		&s.ReplayPaused, &settings, &s.Overrides, &s.Receiver, &message, &hasEpoch, &s.Started, &s.Damaged, &s.DamagedAt)
	if err != nil {
		return Server{}, fmt.Errorf("observing the database: %w", err)
	}
	s.SystemID = uint64(systemID)
	if s.Damaged == 0 {
		s.DamagedAt = time.Time{}
	}
	if recovery {
		s.Role = Standby
	}
	if message != nil {
		s.MessageAge = max(0, time.Duration(*message*float64(time.Second)))
	}
	if s.Flushed, err = postgres.ParseLSN(flushed); err != nil {
		return Server{}, err
	}
	if s.Replayed, err = postgres.ParseLSN(replayed); err != nil {
		return Server{}, err
	}
	if err := json.Unmarshal([]byte(settings), &s.Settings); err != nil {
		return Server{}, err
	}
	if hasEpoch {
		if s.Epoch, err = epochRow(ctx, conn); err != nil {
			return Server{}, err
		}
	}
	return s, nil
}

const standbysSQL = `
select r.pid, coalesce(r.usename, ''), coalesce(r.application_name, ''), coalesce(host(r.client_addr), ''), coalesce(r.state, ''), coalesce(r.sync_state, ''),
       coalesce(r.sent_lsn, '0/0')::text, coalesce(r.write_lsn, '0/0')::text, coalesce(r.flush_lsn, '0/0')::text, coalesce(r.replay_lsn, '0/0')::text,
       coalesce(s.client_dn, ''), coalesce(r.backend_start, now()), r.write_lag, r.flush_lag, r.replay_lag
from pg_stat_replication r left join pg_stat_ssl s using (pid) order by r.pid`

// observeStandbys returns who replicates from conn's server.
func observeStandbys(ctx context.Context, conn *pgx.Conn) ([]StandbyRow, error) {
	rows, err := conn.Query(ctx, standbysSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r StandbyRow, err error) {
		var sent, write, flush, replay string
		if err = row.Scan(&r.PID, &r.User, &r.Application, &r.Address, &r.State, &r.SyncState, &sent, &write, &flush, &replay, &r.ClientDN,
			&r.Since, &r.WriteLag, &r.FlushLag, &r.ReplayLag); err != nil {
			return r, err
		}
		for _, p := range []struct {
			to   *postgres.LSN
			text string
		}{{&r.SentLSN, sent}, {&r.WriteLSN, write}, {&r.FlushLSN, flush}, {&r.ReplayLSN, replay}} {
			if *p.to, err = postgres.ParseLSN(p.text); err != nil {
				return r, err
			}
		}
		return r, nil
	})
}

// observeSlot returns the slot of that name, nil if there is none.
func observeSlot(ctx context.Context, conn *pgx.Conn, name string) (*Slot, error) {
	s := Slot{Name: name}
	err := conn.QueryRow(ctx, "select active, coalesce(wal_status, ''), safe_wal_size from pg_replication_slots where slot_name = $1", name).
		Scan(&s.Active, &s.WALStatus, &s.SafeBytes)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	return &s, err
}

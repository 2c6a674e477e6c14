package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// recover lets the copy of the survivor's database recover to the end of the survivor's log, on a timeline that begins exactly
// there, with nobody but this process connected. Nothing that the survivor has is missing then: its log was compared byte for byte.
// A copy is never started without recovery.signal; a start on the survivor's own timeline could be overtaken by it, or overtake it.
func (j *join) recover(ctx context.Context, _ *Journal) error {
	j.stage(recovering)
	end, err := j.completeLog(ctx)
	if err != nil {
		return err
	}
	if err := j.point("log complete"); err != nil {
		return err
	}
	return j.recoverCopy(ctx, j.server, j.point, func(server *postgres.Server, conn *pgx.Conn) error { return j.takeOver(ctx, server, conn, end) })
}

// recoverCopy starts a copy of a database that has all of its log at hand, and that nobody but this process reaches, and hands it to take
// when it has recovered to the end of that, on a timeline of its own. The server is stopped then.
func (h *Host) recoverCopy(ctx context.Context, server *postgres.Server, point func(string) error, take func(*postgres.Server, *pgx.Conn) error) error {
	if err := server.SetSignal(postgres.RecoverySignal); err != nil {
		return err
	}
	// There is no archive: what is to be recovered is at hand.
	return h.runAlone(ctx, server, map[string]string{"restore_command": "false"}, func() error { return point("recovered") }, take)
}

// runAlone starts a server that nobody but this process reaches, and hands it to take when it is a primary. The server is stopped then.
func (h *Host) runAlone(ctx context.Context, server *postgres.Server, extra map[string]string, point func() error, take func(*postgres.Server, *pgx.Conn) error) error {
	alone := *server
	alone.Listen, alone.TLS = nil, postgres.TLSFiles{}
	if err := alone.WriteHBA(postgres.HBA{}); err != nil {
		return err
	}
	if err := alone.WriteSettings(postgres.Settings{Extra: extra}); err != nil {
		return err
	}
	if err := alone.Start(ctx); err != nil {
		return err
	}
	err := h.awaitRecovered(ctx, &alone, take)
	if perr := point(); perr != nil { // as it is when this process is killed: the server runs on
		return perr
	}
	return errors.Join(err, alone.Stop(context.WithoutCancel(ctx), postgres.Fast))
}

// awaitRecovered hands the server to take when its recovery has ended.
func (h *Host) awaitRecovered(ctx context.Context, server *postgres.Server, take func(*postgres.Server, *pgx.Conn) error) error {
	conn, err := h.connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := awaitPrimary(ctx, conn); err != nil {
		return err
	}
	return take(server, conn)
}

// takeOver makes the recovered database the active's, and notes what it is.
func (j *join) takeOver(ctx context.Context, server *postgres.Server, conn *pgx.Conn, end postgres.LSN) error {
	r, err := replication.Recover(ctx, conn, j.answer.Admission.Epoch, j.answer.Active.Name)
	if err != nil {
		return err
	}
	if r.Position, err = postgres.Forked(server.Data, r.Timeline); err != nil {
		return err
	}
	if r.Position != end {
		return hinted("repeat the command", "the recovered database branches off at %s, and the log of %s ends at %s", r.Position, j.answer.Active.Name, end)
	}
	j.recovered = r
	if j.o.Linked != nil {
		if err := j.o.Linked(ctx, server); err != nil {
			return j.sourceDamaged(err)
		}
	}
	if err := j.readWraps(ctx, conn); err != nil {
		return err
	}
	return j.storeSecrets(ctx, conn)
}

// awaitPrimary returns when recovery has ended.
func awaitPrimary(ctx context.Context, conn *pgx.Conn) error {
	for {
		var recovers bool
		if err := conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&recovers); err != nil {
			return fmt.Errorf("waiting for the end of recovery: %w", err)
		}
		if !recovers {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of recovery: %w", context.Cause(ctx))
		case <-time.After(patiencePoll / 2):
		}
	}
}

// readWraps puts the wraps that the database holds into the confdir: that of the recovery key has no other place.
func (h *Host) readWraps(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "select wrap from control.kek_wraps")
	if err != nil {
		return fmt.Errorf("reading the wraps: %w", err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return fmt.Errorf("reading the wraps: %w", err)
	}
	var wraps []seal.Wrap
	for _, text := range texts {
		var w seal.Wrap
		if err := json.Unmarshal(text, &w); err != nil {
			return fmt.Errorf("reading the wraps: %w", err)
		}
		wraps = append(wraps, w)
	}
	return seal.WriteWraps(h.Confdir, wraps)
}

// completeLog brings the copy's log to the survivor's end, which it returns, and makes sure that it is the same: the stream of a
// base backup ends where the copy becomes consistent, and may stop before.
func (j *join) completeLog(ctx context.Context) (postgres.LSN, error) {
	client, err := j.client()
	if err != nil {
		return 0, err
	}
	defer client.close()
	if err := client.show(j.ClusterFiles()); err != nil {
		return 0, err
	}
	var b replication.Boundary
	if err := client.call(ctx, boundaryPath, joinerRequest{Incarnation: j.incarnation}, &b); err != nil {
		return 0, err
	}
	have, timeline, err := postgres.WALEnd(ctx, j.server.Installation, j.PGRoot)
	if err != nil {
		return 0, err
	}
	if timeline != b.Timeline || have > b.End {
		return 0, hinted("repeat the command", "the copy ends at %s on timeline %s, and %s at %s on timeline %s", have, timeline, j.answer.Active.Name, b.End, b.Timeline)
	}
	for at := postgres.SegmentStart(min(have, b.From)); at < b.End; at = postgres.SegmentEnd(at) {
		header, content, err := client.post(ctx, segmentPath, segmentRequest{Timeline: b.Timeline, Start: at, End: b.End})
		if err != nil {
			return 0, err
		}
		if err := postgres.WriteSegment(j.PGRoot, header.Get(segmentName), content); err != nil {
			return 0, err
		}
	}
	hash, err := postgres.HashWAL(j.PGRoot, b.Timeline, b.From, b.End)
	if err != nil {
		return 0, err
	}
	if have, _, err = postgres.WALEnd(ctx, j.server.Installation, j.PGRoot); err != nil {
		return 0, err
	}
	if !bytes.Equal(hash, b.Hash) || have != b.End {
		return 0, hinted("repeat the command", "the log of the copy is not the one of %s, which ends at %s", j.answer.Active.Name, b.End)
	}
	return b.End, nil
}

// restored is the state of the active that was restored: it waits for the survivor to take it in.
func (j *join) restored() replication.State {
	a, survivor := j.answer.Admission, j.other()
	return replication.State{
		Self: j.answer.Name, Duty: replication.Active, Epoch: a.Epoch, SystemID: a.SystemID, Incarnation: j.incarnation,
		Peer: &survivor, SyncEnabled: true,
		Confirmed: replication.Confirmed{Snapshot: j.recovered.Snapshot, Position: j.recovered.Position},
		Operation: &replication.Operation{Kind: replication.KindRestore, ID: a.Operation, Step: replication.StepReturning, Epoch: a.Epoch,
			Note: j.answer.Name + " was restored from " + survivor.Name, Since: time.Now().UTC().Truncate(time.Second)},
	}
}

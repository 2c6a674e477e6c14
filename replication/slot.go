package replication

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// makeSlot makes the slot anew, reserving WAL from now on. Slots of ours that nobody is left for are removed: a forgotten one
// keeps WAL until the disk is full.
func makeSlot(ctx context.Context, conn *pgx.Conn, name string, keep map[string]bool) error {
	if err := dropSlots(ctx, conn, keep); err != nil {
		return err
	}
	return createSlot(ctx, conn, name)
}

// createSlot makes a slot that is not there, reserving WAL from now on.
func createSlot(ctx context.Context, conn *pgx.Conn, name string) error {
	if _, err := conn.Exec(ctx, "select pg_create_physical_replication_slot($1, true)", name); err != nil {
		return fmt.Errorf("making the replication slot %s: %w", name, err)
	}
	return nil
}

// dropSlots removes every slot of ours but those to keep, and ends who uses one.
func dropSlots(ctx context.Context, conn *pgx.Conn, keep map[string]bool) error {
	rows, err := conn.Query(ctx, `select slot_name, coalesce(active_pid, 0) from pg_replication_slots where starts_with(slot_name, 'kt_') and not temporary`)
	if err != nil {
		return fmt.Errorf("looking for old replication slots: %w", err)
	}
	type slot struct {
		Name string
		PID  int
	}
	slots, err := pgx.CollectRows(rows, pgx.RowToStructByPos[slot])
	if err != nil {
		return fmt.Errorf("looking for old replication slots: %w", err)
	}
	for _, s := range slots {
		if keep[s.Name] {
			continue
		}
		if err := endSlot(ctx, conn, s.Name, s.PID); err != nil {
			return err
		}
	}
	return nil
}

// dropSlot removes the slot of that name, if there is one.
func dropSlot(ctx context.Context, conn *pgx.Conn, name string) error {
	var pid int
	err := conn.QueryRow(ctx, "select coalesce(active_pid, 0) from pg_replication_slots where slot_name = $1", name).Scan(&pid)
	if err == pgx.ErrNoRows {
		return nil
	} else if err != nil {
		return fmt.Errorf("looking for the replication slot %s: %w", name, err)
	}
	return endSlot(ctx, conn, name, pid)
}

// endSlot removes the slot, and ends who uses it.
func endSlot(ctx context.Context, conn *pgx.Conn, name string, pid int) error {
	if pid != 0 {
		const patience = 2000 // milliseconds that pg_terminate_backend waits for the end
		if _, err := conn.Exec(ctx, "select pg_terminate_backend($1, $2)", pid, patience); err != nil {
			return fmt.Errorf("ending who uses the replication slot %s: %w", name, err)
		}
	}
	if _, err := conn.Exec(ctx, "select pg_drop_replication_slot($1)", name); err != nil {
		return fmt.Errorf("removing the replication slot %s: %w", name, err)
	}
	return nil
}

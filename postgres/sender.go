package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// BackupSenders are the processes of a standby that send a base backup, whoever asked for it. They read files and hold nothing that another
// process waits for, so they may be made to yield. Those of a primary are not among them: each ends with a record in the log, for which every
// commit waits.
func BackupSenders(ctx context.Context, conn *pgx.Conn) (pids []int, err error) {
	rows, err := conn.Query(ctx, "select pid from pg_stat_replication where state = 'backup' and pg_is_in_recovery()")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

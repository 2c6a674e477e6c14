package replication

// Role is what PostgreSQL is: whether pg_is_in_recovery says so.
type Role string

// The roles.
const (
	Primary Role = "primary"
	Standby Role = "standby"
)

// Duty is what keytrusteed does on a node. Only an operator's command changes it.
type Duty string

// The duties.
const (
	Active  Duty = "active"
	Passive Duty = "passive"
)

// role is the role that PostgreSQL has on a node of this duty.
func (d Duty) role() Role {
	if d == Active {
		return Primary
	}
	return Standby
}

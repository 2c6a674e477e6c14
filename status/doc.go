// Package status is what a host says of itself to load balancers: Vault's health contract. What it says to its operator is
// host.Status.
package status

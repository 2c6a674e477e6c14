// Package status says how a host is: one Report for ktadmin, and Vault's health contract for load balancers.
package status

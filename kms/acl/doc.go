// Package acl decides who may do what: kms.Policy from Hadoop's access rules.
package acl

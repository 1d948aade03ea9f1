//go:build tools

// Package addons names the programs built from this module; it is never compiled itself.
package addons

import (
	_ "github.com/dexidp/dex/cmd/dex"
	_ "sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard"
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
	_ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
)

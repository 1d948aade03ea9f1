//go:build tools

// Package gateway names the programs built from this module; it is never compiled itself.
package gateway

import (
	_ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "sigs.k8s.io/kind"
)

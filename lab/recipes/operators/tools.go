//go:build tools

// Package operators names the programs built from this module; it is never compiled itself.
package operators

import (
	_ "github.com/kserve/kserve/cmd/llmisvc"
	_ "github.com/kuadrant/authorino-operator"
	_ "github.com/kuadrant/limitador-operator"
)

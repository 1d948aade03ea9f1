//go:build tools

// Package kuadrant names the program built from this module; it is never compiled itself.
package kuadrant

import (
	_ "github.com/kuadrant/authorino/api/v1beta3"
	_ "github.com/kuadrant/kuadrant-operator/cmd"
)

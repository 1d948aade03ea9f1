//go:build tools

// Package authorino names the program built from this module; it is never compiled itself.
package authorino

import _ "github.com/kuadrant/authorino"

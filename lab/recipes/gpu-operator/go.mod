// The module holds NVIDIA GPU Operator's chart; nothing is built from it. This is release v25.10.1: its tags start
// with v25 and its module's path does not, so Go knows a release by its commit.
module maas.platform/lab/recipes/gpu-operator

go 1.25.0

require github.com/NVIDIA/gpu-operator v1.8.3-0.20251203194844-846018752b8a

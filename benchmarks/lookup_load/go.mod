module maas.platform/benchmarks/lookup

go 1.24

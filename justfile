# What CI runs, from a working copy. `just check` is `.ci/run`; `just check test` runs one stage of it.

# Everything CI runs, or only the stages named
check *stages:
    .ci/run {{ stages }}

# The show: two servers, a failure, a failover
demo *arguments:
    cargo run --release -- demo {{ arguments }}

# Write again what is made from the code: the configuration reference and the JSON Schema
generate:
    # The whole workspace, as the tests build it: one set of features, one build.
    cargo build --workspace --quiet
    "${CARGO_TARGET_DIR:-target}/debug/isobar" schema --reference > docs/guide/configuration.md
    "${CARGO_TARGET_DIR:-target}/debug/isobar" schema > docs/schema/isobar.schema.json
    "${CARGO_TARGET_DIR:-target}/debug/isobar" schema --composition > docs/schema/isobar-composition.schema.json
    "${CARGO_TARGET_DIR:-target}/debug/isobar" schema --cases > docs/schema/isobar-cases.schema.json
    "${CARGO_TARGET_DIR:-target}/debug/isobar" vendors --markdown > docs/guide/vendors.md

# Speed beside a bare Pingora proxy, nginx, HAProxy and Envoy
compare *arguments:
    benches/compare {{ arguments }}

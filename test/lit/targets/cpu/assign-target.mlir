// RUN: lamina-opt %s --split-input-file -p assign-target | filecheck %s

// A module without a target gets this machine's.
// CHECK: builtin.module attributes {lamina.target = {{{.*}}cpu = "{{.+}}"{{.*}}vector_bits = {{[0-9]+}} : i64{{.*}}}}
builtin.module {
}

// -----

// A pinned target stays.
// CHECK: builtin.module attributes {lamina.target = {vector_bits = 256 : i64}}
builtin.module attributes {lamina.target = {vector_bits = 256 : i64}} {
}

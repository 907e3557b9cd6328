// RUN: lamina-opt %s -p "func(cse,canonicalize),dce" --timing=tree 2>&1 >/dev/null | filecheck %s --check-prefix TREE
// RUN: lamina-opt %s -p "func(cse,canonicalize),cse" --timing 2>&1 >/dev/null | filecheck %s --check-prefix LIST
// RUN: lamina-opt %s -p infer-types --timing=json 2>&1 >/dev/null | python -c "import json, sys; root = json.load(sys.stdin); print(*(f'{row[\"kind\"]}:{row[\"name\"]}' for child in root['children'] for row in [child, *child['children']]), sep='\n')" | filecheck %s --check-prefix JSON
// RUN: lamina-opt %s -p cse --timing 2>/dev/null | filecheck %s --check-prefix STDOUT
// RUN: lamina-opt %s -p cse --trace %t.json && python -c "import json, sys; print(*((e['ph'], e['cat'], e['name'], e['dur'] >= 0) for e in json.load(open(sys.argv[1]))['traceEvents']), sep='\n')" %t.json | filecheck %s --check-prefix TRACE

// TREE: ... Execution time report ...
// TREE: Total Execution Time: {{[0-9.]+}} seconds
// TREE: ----Wall Time----  ----Name----
// TREE: 'func.func' Pipeline
// TREE-NEXT: {{[0-9.]+ \( *[0-9.]+%\)}}    cse
// TREE-NEXT: {{[0-9.]+ \( *[0-9.]+%\)}}    canonicalize
// TREE-NEXT: {{.*}}    (V) verify
// TREE-NEXT: {{[0-9.]+ \( *[0-9.]+%\)}}  dce
// TREE: Parser
// TREE: (V) verify
// TREE: Output
// TREE: Rest
// TREE: (100.0%)  Total

// LIST: ----Name----
// LIST-COUNT-1: cse
// LIST: Total

// JSON: setup:Set-up
// JSON: parse:Parser
// JSON: verify:(V) verify
// JSON: pass:infer-types
// JSON: analysis:(A) shape analysis
// JSON: print:Output

// STDOUT-NOT: Execution time
// STDOUT: func.func @f

// TRACE: ('X', 'total', 'Total', True)
// TRACE: ('X', 'parse', 'Parser', True)
// TRACE: ('X', 'pass', 'cse', True)
func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.exp %a : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
func.func @g() {
  func.return
}

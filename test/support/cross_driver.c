/* Calls a compiled model as docs/architecture.md (ABI) says, for `support.cross`: `driver JOB RESULT`.

   JOB and RESULT are rows of little-endian 64-bit numbers and of arrays, each a number of bytes and then those bytes.
   JOB: threads; the constants; the inputs; their dynamic sizes; per output: bytes of an element, input whose storage
   it is written into or -1, rank, sizes with -1 for a dynamic one. Each list begins with its length.
   RESULT: the error code; with 0 per output: rank, sizes, array; else the message. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096, RANK = 16, ALIGNMENT = 64 };

typedef struct {
  int32_t abi_version, thread_count;
  void **constants;
  void *pool, *parallel_for, *allocate, *release;
  int32_t error_code, padding;
  const char *error_message;
  void *user_data;
} Context;

typedef int32_t Entry(Context *, void **, int64_t *, int64_t *);
extern Entry run_main __asm__("lamina.main"), run_plan __asm__("lamina.main.plan");
extern int32_t start_workers(int32_t) __asm__("lamina.pool.start");
extern char pool_state __asm__("lamina.pool.state");
extern char parallel_for __asm__("lamina.parallel_for"), allocate __asm__("lamina.allocate"), release_ __asm__("lamina.release");

static FILE *job, *result;

static int64_t number(void) {
  int64_t value;
  if (fread(&value, sizeof value, 1, job) != 1) exit(3);
  return value;
}

static void *memory(int64_t bytes) {
  void *found = NULL;
  if (posix_memalign(&found, ALIGNMENT, bytes + 1)) exit(4);
  memset(found, 0xA5, bytes + 1);
  return found;
}

static void *array(void) {
  int64_t bytes = number();
  void *data = memory(bytes);
  if (bytes && fread(data, bytes, 1, job) != 1) exit(3);
  return data;
}

static int64_t arrays(void **into) {
  int64_t count = number();
  if (count > MOST) exit(5);
  for (int64_t i = 0; i < count; i++) into[i] = array();
  return count;
}

static void put(const void *data, int64_t bytes) { fwrite(data, bytes, 1, result); }

static void put_number(int64_t value) { put(&value, sizeof value); }

static int failed(const Context *context, int32_t code) {
  put_number(code);
  if (code) put(context->error_message, strlen(context->error_message));
  return code;
}

int main(int count, char **names) {
  static void *constants[MOST], *arguments[MOST];
  static int64_t sizes[MOST], results[MOST];
  if (count != 3 || !(job = fopen(names[1], "rb")) || !(result = fopen(names[2], "wb"))) return 2;
  int64_t threads = number();
  arrays(constants);
  int64_t inputs = arrays(arguments + 1), dynamic = number();
  for (int64_t i = 0; i < dynamic; i++) sizes[1 + i] = number();
  Context context = {1, 1, constants, &pool_state, &parallel_for, &allocate, &release_, 0, 0, NULL, NULL};
  if (threads > 1 && start_workers(threads - 1) != threads - 1) return 6;
  int32_t code = run_plan(&context, NULL, sizes + 1, results);
  if (code) return failed(&context, code), 0;
  arguments[0] = memory(sizes[0] = results[0]);

  int64_t outputs = number(), next = 0, places = 1 + inputs;
  static int64_t ranks[MOST], shapes[MOST][RANK], bytes[MOST];
  static void *data[MOST];
  for (int64_t i = 0; i < outputs; i++) {
    bytes[i] = number();
    int64_t alias = number();
    ranks[i] = number();
    for (int64_t axis = 0; axis < ranks[i]; axis++) {
      shapes[i][axis] = number();
      if (shapes[i][axis] < 0) shapes[i][axis] = sizes[1 + dynamic + next] = results[1 + next], next++;
      bytes[i] *= shapes[i][axis];
    }
    data[i] = alias < 0 ? (arguments[places++] = memory(bytes[i])) : arguments[1 + alias];
  }
  context.thread_count = threads;
  code = run_main(&context, arguments, sizes, NULL);
  if (failed(&context, code)) return 0;
  for (int64_t i = 0; i < outputs; i++) {
    put_number(ranks[i]);
    put(shapes[i], ranks[i] * sizeof(int64_t));
    put_number(bytes[i]);
    put(data[i], bytes[i]);
  }
  return fclose(result) ? 7 : 0;
}

/*
 * For tests, by LD_PRELOAD: writes down what a process writes to files below SHIM_PREFIX, in the order in which it happens, with the data,
 * and lets the n-th write, flush or rename below SHIM_FAULT_PREFIX fail ("n:errno" in SHIM_FAIL). One lock over operation and record, so that the record's
 * order is the true one. disk-model.ts reads SHIM_LOG.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, SYNC_FOLDER = 3, RENAME = 4, UNLINK = 5, TRUNCATE = 6 };

struct record {
  uint32_t op, failed, path_bytes, data_bytes;
  uint64_t inode;
  int64_t offset, size_before;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1, is_ready = 0;
static const char *prefix, *fault_prefix;
static long fail_at = 0, operations = 0;
static int fail_with = 0;

static void prepare(void) {
  if (is_ready) return;
  is_ready = 1;
  prefix = getenv("SHIM_PREFIX");
  fault_prefix = getenv("SHIM_FAULT_PREFIX");
  const char *log = getenv("SHIM_LOG"), *fail = getenv("SHIM_FAIL");
  if (log) log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fail) sscanf(fail, "%ld:%d", &fail_at, &fail_with);
}

static int begins(const char *path, const char *with) { return with && strncmp(path, with, strlen(with)) == 0; }

static int path_of(int fd, char *path) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return begins(path, prefix);
}

/* Whether this operation is the one that fails; errno is set then. */
static int fails(const char *path) {
  if (!begins(path, fault_prefix) || ++operations != fail_at) return 0;
  errno = fail_with;
  return 1;
}

static void all(const void *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t done = syscall(SYS_write, log_fd, (const char *)bytes + at, length - at);
    if (done <= 0) abort();
    at += (size_t)done;
  }
}

static void note(struct record record, const char *path, const void *data) {
  if (log_fd < 0) return;
  int saved = errno;
  all(&record, sizeof record);
  all(path, record.path_bytes);
  all(data, record.data_bytes);
  errno = saved;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Begins an operation on an open file: takes the lock and fills path and status; 0 (and no lock) where it is none of ours. */
static int enter(int fd, char *path, struct stat *status) {
  int saved = errno;
  pthread_mutex_lock(&lock);
  prepare();
  if (prefix && fd != log_fd && path_of(fd, path) && fstat(fd, status) == 0) {
    errno = saved;
    return 1;
  }
  pthread_mutex_unlock(&lock);
  errno = saved;
  return 0;
}

static struct record about(int op, const char *path, const struct stat *status, int64_t offset) {
  struct record record = {(uint32_t)op, 0, (uint32_t)strlen(path), 0, status->st_ino, offset, status->st_size};
  return record;
}

static int64_t place_of(int fd, const struct stat *status) {
  return fcntl(fd, F_GETFL) & O_APPEND ? (int64_t)status->st_size : (int64_t)lseek(fd, 0, SEEK_CUR);
}

static ssize_t wrote(ssize_t done, struct record record, const char *path, const void *data) {
  if (done > 0) {
    record.data_bytes = (uint32_t)done;
    note(record, path, data);
  }
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t write(int fd, const void *data, size_t length) {
  REAL(write);
  char path[PATH_MAX];
  struct stat status;
  if (!enter(fd, path, &status)) return real(fd, data, length);
  int64_t place = place_of(fd, &status);
  return wrote(fails(path) ? -1 : real(fd, data, length), about(WRITE, path, &status, place), path, data);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
  REAL(pwrite64);
  char path[PATH_MAX];
  struct stat status;
  if (!enter(fd, path, &status)) return real(fd, data, length, offset);
  return wrote(fails(path) ? -1 : real(fd, data, length, offset), about(WRITE, path, &status, offset), path, data);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  char path[PATH_MAX];
  struct stat status;
  if (!enter(fd, path, &status)) return real(fd, parts, count);
  size_t length = 0, at = 0;
  for (int part = 0; part < count; part++) length += parts[part].iov_len;
  char *data = malloc(length + 1);
  for (int part = 0; part < count; at += parts[part++].iov_len) memcpy(data + at, parts[part].iov_base, parts[part].iov_len);
  int64_t place = place_of(fd, &status);
  ssize_t done = wrote(fails(path) ? -1 : real(fd, parts, count), about(WRITE, path, &status, place), path, data);
  free(data);
  return done;
}

static int flushed(int fd, int (*real)(int)) {
  char path[PATH_MAX];
  struct stat status;
  if (!enter(fd, path, &status)) return real(fd);
  struct record record = about(S_ISDIR(status.st_mode) ? SYNC_FOLDER : SYNC, path, &status, 0);
  int done = fails(path) ? -1 : real(fd);
  record.failed = done != 0;
  note(record, path, "");
  pthread_mutex_unlock(&lock);
  return done;
}

int fsync(int fd) {
  REAL(fsync);
  return flushed(fd, real);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return flushed(fd, real);
}

int ftruncate64(int fd, off64_t length) {
  REAL(ftruncate64);
  char path[PATH_MAX];
  struct stat status;
  if (!enter(fd, path, &status)) return real(fd, length);
  int done = real(fd, length);
  if (done == 0) note(about(TRUNCATE, path, &status, length), path, "");
  pthread_mutex_unlock(&lock);
  return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int rename(const char *from, const char *to) {
  REAL(rename);
  pthread_mutex_lock(&lock);
  prepare();
  struct stat status;
  int is_ours = begins(from, prefix) && stat(from, &status) == 0;
  int done = is_ours && fails(from) ? -1 : real(from, to);
  if (is_ours && done == 0) {
    struct record record = about(RENAME, from, &status, 0);
    record.data_bytes = (uint32_t)strlen(to);
    note(record, from, to);
  }
  pthread_mutex_unlock(&lock);
  return done;
}

int unlink(const char *path) {
  REAL(unlink);
  pthread_mutex_lock(&lock);
  prepare();
  struct stat status;
  int is_ours = begins(path, prefix) && stat(path, &status) == 0;
  int done = real(path);
  if (is_ours && done == 0) note(about(UNLINK, path, &status, 0), path, "");
  pthread_mutex_unlock(&lock);
  return done;
}

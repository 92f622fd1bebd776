/* xstate.so, preloaded into User-mode Linux: lets its kernel 6.1 run on processors with AMX.
 *
 * UML restores the vector registers of its processes with PTRACE_SETREGSET from a buffer of 2696 bytes, sized
 * for AVX-512. The host refuses a buffer smaller than its own whole state (11008 bytes with AMX), and UML
 * panics at the first process: "put_fp_registers … fatal_sigsegv". (Linux 6.13 sizes its buffer at run time.)
 * So the part that UML does not know is read from the process first, and written back unchanged with it.
 *
 * Static buffer: this runs on UML's small kernel stacks, and UML has one processor.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#define XSTATE_BV 512 /* offset of the bit map of components in use */
#define AMX ((1UL << 17) | (1UL << 18))

static char whole[65536] __attribute__((aligned(64)));

static long restore(long pid, const struct iovec *part)
{
	struct iovec all = { whole, sizeof(whole) };
	unsigned long now, wanted;

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all))
		return -1;
	if (all.iov_len <= part->iov_len)
		return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, part);
	memcpy(&now, whole + XSTATE_BV, sizeof(now));
	memcpy(whole, part->iov_base, part->iov_len);
	memcpy(&wanted, whole + XSTATE_BV, sizeof(wanted));
	wanted = (wanted & ~AMX) | (now & AMX);
	memcpy(whole + XSTATE_BV, &wanted, sizeof(wanted));
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list rest;
	long pid, address, result;
	void *data, *peeked;

	va_start(rest, request);
	pid = va_arg(rest, long);
	address = (long)va_arg(rest, void *);
	data = va_arg(rest, void *);
	va_end(rest);
	if (request == PTRACE_SETREGSET && address == NT_X86_XSTATE)
		return restore((pid_t)pid, data);
	if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER)
		data = &peeked; /* the library's convention, not the system call's */
	result = syscall(SYS_ptrace, request, (pid_t)pid, address, data);
	if (result >= 0 && request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER) {
		errno = 0;
		return (long)peeked;
	}
	return result;
}

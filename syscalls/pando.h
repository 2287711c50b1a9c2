/*
 * The contract between the Pando kernel and a guest in C: calls, structures, numbers.
 *
 * SPEC.md has a page for each call and the meaning of each number. This file says the same as the Rust crate beside it;
 * a test holds them together. Build for Wasm with
 *
 *     clang --target=wasm32 -ffreestanding -nostdlib -O2 -Wl,--no-entry -o counter.wasm counter.c
 *
 * A guest defines two functions and exports its memory (the linker does that by itself):
 *
 *     PANDO_EXPORT("pando_inbox")   void *pando_inbox(uint32_t len)   { ... }
 *     PANDO_EXPORT("pando_receive") void  pando_receive(uint32_t len) { ... }
 *
 * Misuse faults the caller; bad luck returns a negative PANDO_E_ number.
 */
#ifndef PANDO_H
#define PANDO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define PANDO_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define PANDO_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/* Elsewhere than on Wasm the declarations stand alone, so that logic can be compiled and tested natively. */
#ifdef __wasm__
#define PANDO_IMPORT(name) __attribute__((import_module(PANDO_IMPORT_MODULE), import_name(name)))
#define PANDO_EXPORT(name) __attribute__((export_name(name), used))
#else
#define PANDO_IMPORT(name)
#define PANDO_EXPORT(name)
#endif

#define PANDO_IMPORT_MODULE "pando_1"
#define PANDO_INTERFACE_SECTION "pando.interface"
#define PANDO_LAYOUT_SECTION "pando.layout"

/* ---- Handles ---------------------------------------------------------------------------------------------------- */

/* An index into one's own table of capabilities. Opaque but for the four below. */
typedef uint32_t pando_handle;

#define PANDO_HANDLE_SELF 0u
#define PANDO_HANDLE_PARENT 1u
#define PANDO_HANDLE_REALM 2u
#define PANDO_HANDLE_NONE 4294967295u

#define PANDO_RIGHT_SEND 1u
#define PANDO_RIGHT_KILL 2u
#define PANDO_RIGHT_LINK 4u
#define PANDO_RIGHT_MONITOR 8u
#define PANDO_RIGHT_SHARE 16u
#define PANDO_RIGHT_SPAWN 32u
#define PANDO_RIGHT_GRANT 64u
#define PANDO_RIGHTS_ALL 127u

/* What pando_handle_stat writes. */
struct pando_handle_stat {
    uint32_t kind; /* PANDO_KIND_ */
    uint32_t rights;
    uint64_t badge;
    uint32_t node;
    uint32_t reserved;
};
PANDO_STATIC_ASSERT(sizeof(struct pando_handle_stat) == 24, "pando_handle_stat");

#define PANDO_KIND_ACTOR 0u
#define PANDO_KIND_GROUP 1u
#define PANDO_KIND_SERVICE 2u
#define PANDO_KIND_REPLY 3u

/* ---- Events ----------------------------------------------------------------------------------------------------- */

#define PANDO_EVENT_START 0
#define PANDO_EVENT_MESSAGE 1
#define PANDO_EVENT_REPLY 2
#define PANDO_EVENT_TIMER 3
#define PANDO_EVENT_DOWN 4
#define PANDO_EVENT_UPGRADE 5
#define PANDO_EVENT_BOUNCE 6

#define PANDO_FLAG_QUERY 1
#define PANDO_FLAG_LINK 2
#define PANDO_FLAG_RESTARTED 4
#define PANDO_FLAG_REPLICATED 8
#define PANDO_FLAG_KEPT 16

/* The front of every event; handles and body follow. */
struct pando_event {
    uint16_t kind;  /* PANDO_EVENT_ */
    uint16_t flags; /* PANDO_FLAG_ */
    uint16_t handle_count;
    uint16_t status; /* 0, or a PANDO_E_ number */
    uint64_t time_ns;
    uint64_t token;
    uint64_t badge;
    pando_handle reply; /* or PANDO_HANDLE_NONE */
    uint32_t body_len;
    uint64_t seed;
};
PANDO_STATIC_ASSERT(sizeof(struct pando_event) == 48, "pando_event");

/* The handles that came along: event->handle_count of them. */
static inline const pando_handle *pando_event_handles(const struct pando_event *event) {
    return (const pando_handle *)(event + 1);
}

/* The body: event->body_len bytes. */
static inline const uint8_t *pando_event_body(const struct pando_event *event) {
    return (const uint8_t *)event + ((sizeof(struct pando_event) + 4u * event->handle_count + 7u) & ~(uint32_t)7);
}

/* The front of the body of PANDO_EVENT_DOWN; the message follows. */
struct pando_exit_record {
    uint16_t kind; /* PANDO_EXIT_ */
    uint16_t reserved;
    int32_t code;
};
PANDO_STATIC_ASSERT(sizeof(struct pando_exit_record) == 8, "pando_exit_record");

/* ---- How an actor ended ----------------------------------------------------------------------------------------- */

#define PANDO_EXIT_NORMAL 0
#define PANDO_EXIT_ERROR 1
#define PANDO_EXIT_FAULT 2
#define PANDO_EXIT_CPU_LIMIT 3
#define PANDO_EXIT_MEMORY_LIMIT 4
#define PANDO_EXIT_KILLED 5
#define PANDO_EXIT_LINKED 6
#define PANDO_EXIT_NODE_DOWN 7
#define PANDO_EXIT_QUORUM_LOST 8
#define PANDO_EXIT_NO_ACTOR 9
#define PANDO_EXIT_BAD_MODULE 10
#define PANDO_EXIT_SHUTDOWN 11

/* ---- Bad luck --------------------------------------------------------------------------------------------------- */

/* A call returns one of these negated; an event's status has it positive. */
#define PANDO_E_DEAD 1 /* the target has ended */
#define PANDO_E_FULL 2 /* the target's mailbox is full */
#define PANDO_E_TIMEOUT 3 /* no reply came before the deadline; the call may have happened */
#define PANDO_E_UNREACHABLE 4 /* the target's node cannot be reached; what was under way may have happened */
#define PANDO_E_REVOKED 5 /* the handle was revoked */
#define PANDO_E_DENIED 6 /* the handle lacks the right for this */
#define PANDO_E_NO_MODULE 7 /* no such module in the realm */
#define PANDO_E_LIMIT 8 /* a limit is reached */
#define PANDO_E_NO_QUORUM 9 /* the group has no quorum */
#define PANDO_E_NO_REPLY 10 /* the receiver ended its work without answering */
#define PANDO_E_TRAPPED 11 /* the receiver faulted on this message and was undone */
#define PANDO_E_READ_ONLY 12 /* a query cannot have effects */
#define PANDO_E_NOT_FOUND 13 /* nothing of that name exists */
#define PANDO_E_EXISTS 14 /* the name is taken */
#define PANDO_E_BAD_REQUEST 15 /* the receiver does not understand the request */
#define PANDO_E_REFUSED 16 /* the request cannot be met */
#define PANDO_E_APPLICATION 17 /* the receiver answered with an error of its own */
#define PANDO_E_INTERNAL 18 /* the kernel failed; the node's log has the cause */
#define PANDO_E_UPGRADED 19 /* the receiver's code was replaced while it worked on this; it may have happened in part */

/* ---- Spawning --------------------------------------------------------------------------------------------------- */

#define PANDO_RESTART_NEVER 0
#define PANDO_RESTART_ON_FAILURE 1
#define PANDO_RESTART_ALWAYS 2
#define PANDO_RESTART_RESUME 3

#define PANDO_PRIORITY_HIGH 0
#define PANDO_PRIORITY_NORMAL 1
#define PANDO_PRIORITY_LOW 2

#define PANDO_SPAWN_GRANT_REALM 1

/* The front of what pando_spawn is given; the body of the child's start event follows. */
struct pando_spawn_spec {
    uint8_t module[32]; /* BLAKE3 hash; all zero: one's own module */
    uint32_t node;
    uint32_t fuel_millions;
    uint64_t memory_bytes;
    uint16_t flags;    /* PANDO_SPAWN_ */
    uint8_t restart;   /* PANDO_RESTART_ */
    uint8_t priority;  /* PANDO_PRIORITY_ */
    uint8_t replicas;  /* 0: a plain actor */
    uint8_t reserved;  /* zero */
    uint16_t handler_ms;
    uint64_t restarts_max;
    uint64_t window_ms;
};
PANDO_STATIC_ASSERT(sizeof(struct pando_spawn_spec) == 72, "pando_spawn_spec");

/* ---- Limits ----------------------------------------------------------------------------------------------------- */

#define PANDO_MESSAGE_BYTES_MAX 1048576
#define PANDO_MESSAGE_HANDLES_MAX 16
#define PANDO_HANDLES_MAX 65536
#define PANDO_TIMERS_MAX 4096
#define PANDO_MONITORS_MAX 4096
#define PANDO_LINKS_MAX 4096
#define PANDO_CALLS_MAX 4096
#define PANDO_GRANTS_MAX 4096
#define PANDO_CHILDREN_MAX 65536
#define PANDO_NODE_ACTORS_MAX 1048576
#define PANDO_EFFECTS_MAX 16384
#define PANDO_EFFECT_BYTES_MAX 8388608
#define PANDO_MAILBOX_MESSAGES_MAX 16384
#define PANDO_MAILBOX_BYTES_MAX 16777216
#define PANDO_LOG_LINE_BYTES_MAX 4096
#define PANDO_LOG_LINES_PER_EVENT_MAX 64
#define PANDO_EXIT_MESSAGE_BYTES_MAX 4096
#define PANDO_MEMORY_BYTES_DEFAULT 67108864
#define PANDO_MEMORY_BYTES_MAX 1073741824
#define PANDO_TABLE_ELEMENTS_MAX 65536
#define PANDO_HANDLER_MS_DEFAULT 2000
#define PANDO_HANDLER_MS_MAX 60000
#define PANDO_HANDLER_FUEL_DEFAULT 2000000000
#define PANDO_HANDLER_FUEL_MAX 60000000000ll
#define PANDO_MODULE_BYTES_MAX 33554432
#define PANDO_INTERFACE_BYTES_MAX 65536
#define PANDO_NAME_BYTES_MAX 128
#define PANDO_REPLICAS_MAX 7
#define PANDO_NODES_MAX 256
#define PANDO_DELAY_NS_MAX 315360000000000000ll
#define PANDO_INBOX_BYTES_MIN 512
#define PANDO_EVENT_BYTES_MAX 1048688

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

#define PANDO_CALL_QUERY 1
#define PANDO_CALL_FINAL 2

#define PANDO_LOG_ERROR 1
#define PANDO_LOG_WARNING 2
#define PANDO_LOG_INFORMATION 3
#define PANDO_LOG_DEBUG 4
#define PANDO_LOG_TRACE 5

/* Sends a message. It leaves when the handler returns. */
PANDO_IMPORT("send")
int32_t pando_send(pando_handle target, const void *body, uint32_t body_len, const pando_handle *handles, uint32_t handle_count);

/* Sends a message with a one-time reply handle. Returns a token that comes back with the reply. */
PANDO_IMPORT("call")
int64_t pando_call(pando_handle target, const void *body, uint32_t body_len, const pando_handle *handles, uint32_t handle_count, int64_t deadline_ns, uint32_t flags);

/* Answers a call; the reply handle is used up. */
PANDO_IMPORT("reply")
int32_t pando_reply(pando_handle reply, int32_t status, const void *body, uint32_t body_len, const pando_handle *handles, uint32_t handle_count);

/* Starts an actor or a group. Returns a handle that is good at once. */
PANDO_IMPORT("spawn")
int64_t pando_spawn(pando_handle authority, const void *spec, uint32_t spec_len, const pando_handle *handles, uint32_t handle_count);

/* Ends the caller when the handler returns: 0 is normal. Does not return. */
PANDO_IMPORT("exit") __attribute__((noreturn))
void pando_exit(int32_t code, const char *message, uint32_t message_len);

/* Ends another actor. */
PANDO_IMPORT("kill")
int32_t pando_kill(pando_handle target);

/* Ties two lives together. */
PANDO_IMPORT("link")
int32_t pando_link(pando_handle target);

/* Unties them. */
PANDO_IMPORT("unlink")
int32_t pando_unlink(pando_handle target);

/* Asks for a down event when the target ends. Returns the monitor's id. */
PANDO_IMPORT("monitor")
int64_t pando_monitor(pando_handle target);

/* Takes a monitor back. After it no down with this id comes. */
PANDO_IMPORT("demonitor")
int32_t pando_demonitor(int64_t monitor);

/* Asks for a timer event after so many nanoseconds. Returns the timer's id. */
PANDO_IMPORT("timer")
int64_t pando_timer(int64_t delay_ns);

/* Takes a timer back. After it no timer event with this id comes. */
PANDO_IMPORT("cancel")
int32_t pando_cancel(int64_t timer);

/* The event's time: nanoseconds since 1970. Does not move inside a handler. */
PANDO_IMPORT("now")
int64_t pando_now(void);

/* Sixty-four random bits, from the event's seed. */
PANDO_IMPORT("random")
uint64_t pando_random(void);

/* Writes a line to the actor's log. */
PANDO_IMPORT("log")
void pando_log(int32_t level, const char *text, uint32_t text_len);

/* Makes a handle with fewer rights; on one's own handle, with a badge and a grant of its own. */
PANDO_IMPORT("handle_copy")
int64_t pando_handle_copy(pando_handle handle, uint32_t rights, uint64_t badge);

/* Lets a handle go. A reply handle that is let go answers NO_REPLY. */
PANDO_IMPORT("handle_drop")
int32_t pando_handle_drop(pando_handle handle);

/* Takes back the grant that a copy of one's own handle carries, wherever its copies are. */
PANDO_IMPORT("handle_revoke")
int32_t pando_handle_revoke(pando_handle handle);

/* Writes what is known of a handle: 24 bytes. */
PANDO_IMPORT("handle_stat")
int32_t pando_handle_stat(pando_handle handle, struct pando_handle_stat *out);

/* Do two handles reach the same actor? 1 or 0. */
PANDO_IMPORT("handle_same")
int32_t pando_handle_same(pando_handle a, pando_handle b);

#ifdef __cplusplus
}
#endif

#endif

//! Every limit, in one place. A limit that a spawner may lower is a default and a maximum here.

/// Bytes of body in one message, reply, start argument or log line's event. More faults the caller.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Handles that one message carries. More faults the caller.
pub const MESSAGE_HANDLES_MAX: usize = 16;
/// Handles that one actor holds. One more is `LIMIT`; a message that brings one more is undeliverable (`FULL`).
pub const HANDLES_MAX: usize = 1 << 16;
/// Timers that one actor has running.
pub const TIMERS_MAX: usize = 1 << 12;
/// Monitors that one actor holds, and that are held on one actor.
pub const MONITORS_MAX: usize = 1 << 12;
/// Links of one actor.
pub const LINKS_MAX: usize = 1 << 12;
/// Calls of one actor that wait for a reply.
pub const CALLS_MAX: usize = 1 << 12;
/// Grants that one actor has minted and not revoked.
pub const GRANTS_MAX: usize = 1 << 12;
/// Children of one actor that are alive, those of its earlier lives too. One more is `LIMIT`.
pub const CHILDREN_MAX: usize = 1 << 16;
/// Plain actors on one node. One more is not started, and its spawner gets a `bounce` with `LIMIT`.
pub const NODE_ACTORS_MAX: usize = 1 << 20;
/// Effects of one handler. One more is `LIMIT`.
pub const EFFECTS_MAX: usize = 1 << 14;
/// Bytes of all bodies in the effects of one handler.
pub const EFFECT_BYTES_MAX: usize = 8 << 20;
/// Messages waiting in one mailbox.
pub const MAILBOX_MESSAGES_MAX: usize = 1 << 14;
/// Bytes waiting in one mailbox.
pub const MAILBOX_BYTES_MAX: usize = 16 << 20;
/// Bytes of one log line; longer ones are cut.
pub const LOG_LINE_BYTES_MAX: usize = 1 << 12;
/// Log lines of one handler; further ones are counted and left out.
pub const LOG_LINES_PER_EVENT_MAX: usize = 64;
/// Bytes of the message given to `exit`, kept with the reason; longer ones are cut.
pub const EXIT_MESSAGE_BYTES_MAX: usize = 1 << 12;

/// Bytes of linear memory of one actor unless told.
pub const MEMORY_BYTES_DEFAULT: u64 = 64 << 20;
/// Bytes of linear memory of one actor at most.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Elements of all tables of one actor.
pub const TABLE_ELEMENTS_MAX: usize = 1 << 16;
/// Processor time of one handler unless told, in milliseconds. Beyond it the actor is ended with `cpu-limit`.
pub const HANDLER_MS_DEFAULT: u64 = 2_000;
/// Processor time of one handler at most.
pub const HANDLER_MS_MAX: u64 = 60_000;
/// Fuel of one handler of a replicated actor unless told, in wasmtime's units (about one an instruction).
pub const HANDLER_FUEL_DEFAULT: u64 = 2_000_000_000;
/// Fuel of one handler of a replicated actor at most.
pub const HANDLER_FUEL_MAX: u64 = 60_000_000_000;

/// Bytes of a module.
pub const MODULE_BYTES_MAX: usize = 32 << 20;
/// Bytes of an interface section.
pub const INTERFACE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a name in the realm: letters, digits, `-`, `_`, `.` and `/`.
pub const NAME_BYTES_MAX: usize = 128;
/// Replicas of one group.
pub const REPLICAS_MAX: usize = 7;
/// Nodes of a realm.
pub const NODES_MAX: usize = 256;
/// The longest deadline of a call and delay of a timer: ten years in nanoseconds.
pub const DELAY_NS_MAX: u64 = 10 * 365 * 86_400 * 1_000_000_000;
/// The first inbox that the kernel asks a guest for, in bytes.
pub const INBOX_BYTES_MIN: usize = 512;

/// An event with the largest body and every handle.
pub const EVENT_BYTES_MAX: usize = crate::EventHeader::body_offset(MESSAGE_HANDLES_MAX) + MESSAGE_BYTES_MAX;

const _: () = {
    assert!(CHILDREN_MAX <= NODE_ACTORS_MAX && EFFECTS_MAX <= CHILDREN_MAX);
    assert!(HANDLES_MAX < 1 << crate::Handle::SLOT_BITS);
    assert!(MESSAGE_BYTES_MAX <= EFFECT_BYTES_MAX && MESSAGE_BYTES_MAX <= MAILBOX_BYTES_MAX);
    assert!(MEMORY_BYTES_DEFAULT <= MEMORY_BYTES_MAX && MEMORY_BYTES_MAX <= 1 << 32);
    assert!(HANDLER_MS_DEFAULT <= HANDLER_MS_MAX && HANDLER_FUEL_DEFAULT <= HANDLER_FUEL_MAX);
    assert!(EFFECTS_MAX <= u16::MAX as usize);
};

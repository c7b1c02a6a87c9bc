//! What waits to be written, and where each frame will stand: decided under the caller's lock, without I/O.

use std::collections::VecDeque;

use types::Seq;

use super::spare::Spare;
use super::{LogWriter, Placement, URGENT_BYTES, Urgency};
use crate::Error;
use crate::layout::LogName;
use crate::log::frame::{self, Frame};
use crate::log::header::FIRST_FRAME_OFFSET;

pub(super) struct Queued {
    pub(super) frame: Frame,
    /// The frame begins this file.
    pub(super) file: Option<Spare>,
    /// The frame's file is cut and synced behind it; the next frame begins another one.
    pub(super) seal: bool,
}

/// Room left in the file that the next frame goes to, as planned (the writes may lag).
pub(super) struct Plan {
    pub(super) name: LogName,
    pub(super) offset_bytes: u64,
    pub(super) capacity_bytes: u64,
}

pub(super) struct Queue {
    pub(super) frames: VecDeque<Queued>,
    /// Bytes of the payloads of `frames`.
    pub(super) queued_bytes: usize,
    pub(super) plan: Option<Plan>,
    pub(super) spares: VecDeque<Spare>,
    /// Spares that were too small for a frame: files are used in the order of their numbers, so these never will be.
    pub(super) discarded: Vec<LogName>,
    pub(super) next_number: u64,
    /// Used length of the last file that was planned full or sealed; sizes the next spare.
    pub(super) last_used_bytes: u64,
    pub(super) queued_seq: Seq,
    pub(super) written_seq: Seq,
    pub(super) written_bytes: u64,
    /// How many of the written bytes were there when a sync began that is over.
    pub(super) synced_bytes: u64,
    pub(super) writing: bool,
    pub(super) syncing: bool,
    pub(super) failed: Option<String>,
    /// Every file of the log that may still be needed, oldest first, with the Seq of its first frame.
    pub(super) chain: VecDeque<(LogName, Seq)>,
}

impl Queue {
    /// Nothing is queued behind `last_seq`; the next spare gets `next_number`.
    pub(super) fn new(last_seq: Seq, next_number: u64, chain: Vec<(LogName, Seq)>) -> Queue {
        Queue {
            frames: VecDeque::new(),
            queued_bytes: 0,
            plan: None,
            spares: VecDeque::new(),
            discarded: Vec::new(),
            next_number,
            last_used_bytes: 0,
            queued_seq: last_seq,
            written_seq: last_seq,
            written_bytes: 0,
            synced_bytes: 0,
            writing: false,
            syncing: false,
            failed: None,
            chain: chain.into(),
        }
    }

    /// Ends all writing; the first reason counts.
    pub(super) fn fail(&mut self, e: &Error) {
        self.failed.get_or_insert_with(|| {
            format!(
                "writing has stopped because the log could not be written: {e}; reads go on, check the disk and restart"
            )
        });
    }
}

impl LogWriter {
    /// Returns where a frame with that payload would stand if it were queued next; `None` when a spare is needed
    /// first ([`LogWriter::add_spare`]). No I/O. The caller's lock keeps others from queueing in between.
    pub fn place(&self, payload_bytes: usize, urgency: Urgency) -> Option<Placement> {
        let bytes = frame::frame_bytes(payload_bytes) as u64;
        let queue = self.lock_queue();
        let kept_bytes = if urgency == Urgency::Urgent { 0 } else { URGENT_BYTES };
        let left_in = |capacity_bytes, end_bytes| match urgency {
            Urgency::Sealing => 0,
            _ => capacity_bytes - end_bytes,
        };
        let room_of = |spare: &Spare| spare.capacity_bytes - FIRST_FRAME_OFFSET;
        if let Some(plan) = &queue.plan {
            let end_bytes = plan.offset_bytes + bytes;
            if end_bytes <= plan.capacity_bytes {
                let behind: u64 = queue.spares.iter().map(room_of).sum();
                let fits = left_in(plan.capacity_bytes, end_bytes) + behind >= kept_bytes;
                return fits.then_some(Placement { file: plan.name, end_bytes, begins_file: false });
            }
        }
        let spare = queue.spares.front()?;
        let end_bytes = FIRST_FRAME_OFFSET + bytes;
        let behind: u64 = queue.spares.iter().skip(1).map(room_of).sum();
        let fits = end_bytes <= spare.capacity_bytes && left_in(spare.capacity_bytes, end_bytes) + behind >= kept_bytes;
        fits.then_some(Placement { file: spare.name, end_bytes, begins_file: true })
    }

    /// Returns whether a frame with that payload would have a place behind another one that ends its file. As
    /// [`LogWriter::place`], to be asked under the caller's lock.
    pub fn has_room_behind(&self, first_bytes: usize, payload_bytes: usize) -> bool {
        let Some(first) = self.place(first_bytes, Urgency::Ordinary) else { return false };
        let end_bytes = FIRST_FRAME_OFFSET + frame::frame_bytes(payload_bytes) as u64;
        let queue = self.lock_queue();
        let mut spares = queue.spares.iter().skip(usize::from(first.begins_file));
        spares.next().is_some_and(|spare| end_bytes + URGENT_BYTES <= spare.capacity_bytes)
    }

    /// Queues a frame at the place that [`LogWriter::place`] gave for it. With `seal` its file ends behind it.
    pub fn push(&self, frame: Frame, placement: Placement, seal: bool) {
        let mut queue = self.lock_queue();
        debug_assert_eq!(frame.seq, queue.queued_seq.next());
        queue.queued_seq = frame.seq;
        let mut file = None;
        if placement.begins_file {
            let spare = queue.spares.pop_front().expect("the placement named this spare");
            debug_assert_eq!(spare.name, placement.file);
            if let Some(plan) = queue.plan.take() {
                queue.last_used_bytes = plan.offset_bytes;
            }
            debug_assert!(
                queue.chain.back().is_none_or(|(last, _)| last.timeline != spare.name.timeline || *last < spare.name)
            );
            queue.chain.push_back((spare.name, frame.seq));
            queue.plan = Some(Plan { name: spare.name, offset_bytes: 0, capacity_bytes: spare.capacity_bytes });
            file = Some(spare);
        }
        if seal {
            queue.plan = None;
            queue.last_used_bytes = placement.end_bytes;
        } else if let Some(plan) = &mut queue.plan {
            plan.offset_bytes = placement.end_bytes;
        }
        queue.queued_bytes += frame.payload.len();
        queue.frames.push_back(Queued { frame, file, seal });
    }
}

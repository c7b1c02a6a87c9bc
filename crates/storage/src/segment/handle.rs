//! A segment that is mapped when it is first needed: [`SegmentHandle`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{Segment, SegmentMeta};
use crate::Result;
use crate::env::Env;

/// Names a segment of a table's version; opening many tables opens no segment.
pub struct SegmentHandle {
    env: Env,
    path: PathBuf,
    meta: Arc<SegmentMeta>,
    verify: bool,
    opened: OnceLock<Arc<Segment>>,
}

impl SegmentHandle {
    /// Returns the handle of the segment in `table_dir`; nothing is touched. `verify` as in [`Segment::open`].
    pub fn new(env: &Env, table_dir: &Path, meta: Arc<SegmentMeta>, verify: bool) -> SegmentHandle {
        let path = table_dir.join(&meta.file);
        SegmentHandle { env: env.clone(), path, meta, verify, opened: OnceLock::new() }
    }

    /// Returns what edits say about the segment.
    pub fn meta(&self) -> &Arc<SegmentMeta> {
        &self.meta
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the mapped segment.
    ///
    /// # Errors
    /// As [`Segment::open`]; a later call tries again.
    pub fn open(&self) -> Result<Arc<Segment>> {
        if let Some(segment) = self.opened.get() {
            return Ok(segment.clone());
        }
        let segment = Segment::open(&self.env, &self.path, self.meta.clone(), self.verify)?;
        Ok(self.opened.get_or_init(|| segment).clone())
    }
}

//! What a campaign has met: [`Report`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use storage::env::sim_fs::{Op, Site};

/// Counts of distinct faults and states; the summary of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// Call site and fault -> how often.
    faults: BTreeMap<(Site, &'static str), u64>,
    /// Every call site that was passed, hit by a fault or not.
    sites: BTreeSet<Site>,
    states: BTreeSet<u64>,
    pub starts: u64,
}

impl Report {
    /// Notes the call sites that a run passed.
    pub fn passed(&mut self, trace: &[Op]) {
        self.sites.extend(trace.iter().map(|op| op.site));
    }

    /// Notes a fault.
    pub fn hit(&mut self, site: Site, fault: &'static str) {
        self.sites.insert(site);
        *self.faults.entry((site, fault)).or_default() += 1;
    }

    /// Notes a durable state; returns whether it is a new one.
    pub fn state(&mut self, digest: u64) -> bool {
        self.states.insert(digest)
    }

    /// Returns how many faults there were.
    pub fn fault_count(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds what another campaign has met.
    pub fn merge(&mut self, other: Report) {
        for (key, count) in other.faults {
            *self.faults.entry(key).or_default() += count;
        }
        self.sites.extend(other.sites);
        self.states.extend(other.states);
        self.starts += other.starts;
    }

    /// Returns the call sites that no fault has hit. Calls that change nothing are not cut: see durability.md.
    pub fn never_hit(&self) -> Vec<Site> {
        let hit: BTreeSet<Site> = self.faults.keys().map(|(site, _)| *site).collect();
        self.sites.iter().filter(|site| !hit.contains(site)).copied().collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} faults, {} starts after one", self.fault_count(), self.starts)?;
        writeln!(f, "{} distinct (call site, operation, fault) triples", self.faults.len())?;
        writeln!(f, "{} distinct durable states", self.states.len())?;
        let never = self.never_hit();
        writeln!(f, "{} of {} call sites never hit", never.len(), self.sites.len())?;
        for site in never {
            writeln!(f, "  {site}")?;
        }
        Ok(())
    }
}

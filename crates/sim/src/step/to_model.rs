//! What a [`Step`] does to the model: the tables and snapshots that must be there afterwards.

use std::sync::Arc;

use super::Step;
use crate::model::{Model, ModelTable};

impl Step {
    /// Does the step to the model.
    pub fn apply_to(&self, model: &mut Model) {
        match self {
            Step::Create(table) => {
                model.tables.insert(table.name.clone(), Arc::new(table.clone()));
            }
            Step::Drop(name) => {
                model.dropped.push(model.tables.remove(name).expect("the step was made for this model"));
            }
            Step::Undrop { table, to } => {
                let mut back = model.take_dropped(table);
                Arc::make_mut(&mut back).name = to.clone();
                model.tables.insert(to.clone(), back);
            }
            Step::Purge => {
                model.dropped.remove(0);
            }
            Step::Rename { table, to } => {
                let mut moved = model.tables.remove(table).expect("the step was made for this model");
                Arc::make_mut(&mut moved).name = to.clone();
                model.tables.insert(to.clone(), moved);
            }
            Step::SetView { view, text } => {
                model.views.insert(view.clone(), text.clone());
            }
            Step::DropView(view) => {
                model.views.remove(view);
            }
            Step::Truncate(table) => model.table_mut(table).rows.clear(),
            Step::AddColumn { table, column } => model.table_mut(table).add_column(column.clone()),
            Step::DropColumn { table, column } => {
                let table = model.table_mut(table);
                let at = place(table, column);
                table.drop_column(at);
            }
            Step::RenameColumn { table, column, to } => {
                let table = model.table_mut(table);
                let at = place(table, column);
                table.rename_column(at, to);
            }
            Step::Append(batches) => batches.iter().for_each(|(table, rows)| model.table_mut(table).append(rows)),
            Step::Update { table, partition, column, value, every } => {
                let table = model.table_mut(table);
                let at = place(table, column);
                table.update(*partition, at, value, *every);
            }
            // A truncate makes the update begin again; appended rows are later than the update and stay as they are.
            Step::UpdateAfter { update, meanwhile } => match **meanwhile {
                Step::Append(_) => {
                    update.apply_to(model);
                    meanwhile.apply_to(model);
                }
                _ => {
                    meanwhile.apply_to(model);
                    update.apply_to(model);
                }
            },
            Step::DropPartitions { table, keys } => model.table_mut(table).drop_partitions(keys),
            Step::SetDedup { table, keys } => model.table_mut(table).dedup = keys.clone(),
            Step::SetTtl { table, hours } => {
                let table = model.table_mut(table);
                table.ttl_hours = *hours;
                table.expire();
            }
            Step::Convert { table, column } => {
                let table = model.table_mut(table);
                let at = place(table, column);
                table.convert_to_text(at);
            }
            Step::Prepare(name) => model.prepare(name, false),
            Step::PrepareKept(name) => model.prepare(name, true),
            Step::PrepareLeased(name) => {
                model.prepare(name, false);
                model.snapshot_mut(name).short = true;
            }
            Step::Renew(name) => {
                let snapshot = model.snapshot_mut(name);
                (snapshot.short, snapshot.expired, snapshot.ended) = (false, false, false);
            }
            Step::Leases => {
                for snapshot in model.snapshots.values_mut().filter(|snapshot| snapshot.short) {
                    (snapshot.short, snapshot.expired) = (false, true);
                }
            }
            Step::FullDisk => model.full_disk(),
            Step::Keep(name) => {
                let snapshot = model.snapshot_mut(name);
                (snapshot.kept, snapshot.short, snapshot.expired, snapshot.ended) = (true, false, false, false);
            }
            Step::Complete(name) => {
                model.snapshots.remove(name);
            }
            Step::RestoreTable { snapshot, table, to } => {
                let mut back = model.snapshots[snapshot].cut.table(table).clone();
                Arc::make_mut(&mut back).name = to.clone();
                model.tables.insert(to.clone(), back);
            }
            Step::RestoreDatabase(snapshot) => {
                let cut = model.snapshots[snapshot].cut.clone();
                model.keep_way_back();
                (model.tables, model.views) = (cut.tables.clone(), cut.views.clone());
            }
            Step::Flush | Step::FlushTable(_) | Step::Base | Step::WriteBase => {}
            Step::Gc | Step::Settle | Step::Compact | Step::Idle | Step::Refused(_) => {}
        }
    }

    /// Returns what the model is between the two commits of a step that makes two.
    pub fn halfway(&self, model: &Model) -> Option<Model> {
        let mut halfway = model.clone();
        match self {
            Step::UpdateAfter { meanwhile, .. } => meanwhile.apply_to(&mut halfway),
            // One of the name whose lease has run out is completed first.
            Step::Prepare(name) | Step::PrepareKept(name) | Step::PrepareLeased(name) => {
                halfway.snapshots.remove(name)?;
            }
            // The snapshot that holds what was before is taken first.
            Step::RestoreDatabase(_) => halfway.keep_way_back(),
            _ => return None,
        }
        Some(halfway)
    }
}

fn place(table: &ModelTable, column: &str) -> usize {
    table.column(column).expect("the step was made for this model")
}

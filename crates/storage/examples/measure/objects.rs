//! What tables, segments, partitions, columns and symbols cost a start, in time and memory. The files of most segments are
//! empty: a start asks only whether they are there.

use std::path::Path;

use storage::base::{Base, TableBase};
use storage::layout::{BaseName, Disk, Layout};
use storage::record::AddedSegment;
use storage::segment::SegmentMeta;
use storage::{CommitMode, Database, Env, NewColumn, NewTable, Options, base, document};
use types::{Column, ColumnData, ColumnType, PartitionBy, PartitionKey, RowBatch, SymbolColumn, TableName};

use crate::recovery::cpu_ms;

const DAY_US: i64 = 86_400_000_000;

pub fn run() {
    measure("10,000 empty tables", 10_000, 4, |db, root| start_from_base(db, root, |_, _| {}));
    measure("1,000 tables of 1,000 segments", 1_000, 4, |db, root| {
        with_rows(&db);
        start_from_base(db, root, |segments, _| multiply(segments, 1_000, |_| PartitionKey(0)));
    });
    measure("1 table of 100,000 partitions", 1, 4, |db, root| {
        with_rows(&db);
        start_from_base(db, root, |segments, _| multiply(segments, 100_000, |n| PartitionKey(n as i64 * DAY_US)));
    });
    measure("1 table of 1,000 columns and 1,000 segments", 1, 1_000, |db, root| {
        with_rows(&db);
        start_from_base(db, root, |segments, _| multiply(segments, 1_000, |_| PartitionKey(0)));
    });
    measure("10,000,000 symbols in one column", 1, 4, |db, root| {
        with_symbols(&db, 10_000_000);
        start_from_base(db, root, |_, _| {});
    });
}

/// Makes tables, lets `fill` write the base that the measured starts read, and starts.
fn measure(what: &str, tables: usize, columns: usize, fill: impl FnOnce(Database, &Path)) {
    let root = std::env::temp_dir().join(format!("stillpoint-measure-{}", std::process::id()));
    let env = Env::os();
    env.fs.create_dir(&root).expect("the folder is new");
    let db = Database::open(env.clone(), options(&root)).expect("an empty root opens");
    for n in 0..tables {
        let mut of = vec![NewColumn::new("ts", ColumnType::Timestamp), NewColumn::new("s", ColumnType::Symbol)];
        of.extend((of.len()..columns).map(|c| NewColumn::new(&format!("c{c}"), ColumnType::Double)));
        let name = TableName::new(&format!("t{n}")).expect("a good name");
        db.create_table(NewTable::new(name, of, Some(0), PartitionBy::Day)).expect("the table is new");
    }
    fill(db, &root);
    let (rss, start, cpu) = (rss_bytes(), env.clock.now_us(), cpu_ms());
    let db = Database::open(env.clone(), options(&root)).expect("the start goes well");
    let (took, cpu, held) = ((env.clock.now_us() - start) as f64 / 1e3, cpu_ms() - cpu, rss_bytes() - rss);
    println!("{what}: start {took:.0} ms ({cpu:.0} ms of CPU), {:.1} MB of memory", held as f64 / 1e6);
    drop(db);
    std::fs::remove_dir_all(&root).expect("the folder is ours");
}

fn options(root: &Path) -> Options {
    let mut options = Options::new(root);
    options.commit_mode = CommitMode::NoSync;
    options.flush_bytes = 1 << 40;
    options
}

fn rss_bytes() -> i64 {
    let text = Env::os().fs.read(Path::new("/proc/self/statm")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * 4096
}

/// Gives each table one segment of one row with a value in every column.
fn with_rows(db: &Database) {
    for table in db.view().tables() {
        let mut symbols = SymbolColumn::default();
        symbols.push(Some("one"));
        let data = |t: ColumnType| match t {
            ColumnType::Timestamp => ColumnData::I64(vec![1]),
            ColumnType::Symbol => ColumnData::Symbol(symbols.clone()),
            _ => ColumnData::F64(vec![1.5]),
        };
        let columns = table.schema().columns.iter().map(|c| Column { id: c.id, data: data(c.column_type) }).collect();
        db.append(vec![(table.id(), RowBatch::new(1, columns).expect("one row"))]).expect("the commit goes well");
        db.flush_table(table.id()).expect("the flush goes well");
    }
}

fn with_symbols(db: &Database, count: usize) {
    let table = db.view().tables().remove(0);
    let ids: Vec<_> = table.schema().columns.iter().map(|c| c.id).collect();
    for first in (0..count).step_by(100_000) {
        let mut symbols = SymbolColumn::default();
        (first..first + 100_000).for_each(|n| symbols.push(Some(&format!("account-{n:08}"))));
        let columns = vec![
            Column { id: ids[0], data: ColumnData::I64((0..100_000).collect()) },
            Column { id: ids[1], data: ColumnData::Symbol(symbols) },
        ];
        let batch = RowBatch::new(100_000, columns).expect("columns of one length");
        db.append(vec![(table.id(), batch)]).expect("the commit goes well");
        if first % 2_000_000 == 0 {
            db.flush_table(table.id()).expect("the flush goes well");
        }
    }
    db.flush_table(table.id()).expect("the flush goes well");
}

fn multiply(segments: &mut Vec<AddedSegment>, count: usize, key: impl Fn(usize) -> PartitionKey) {
    let Some(one) = segments.pop() else { return };
    for n in 0..count {
        let partition = key(n);
        let dir = PartitionBy::Day.partition_name(partition);
        let segment = SegmentMeta { file: format!("{dir}/{n:026}.arrow"), ..one.segment.clone() };
        segments.push(AddedSegment { partition, segment });
    }
}

/// Ends the run with a base and writes that base anew with the segments that `change` makes of each table's.
fn start_from_base(db: Database, root: &Path, change: impl Fn(&mut Vec<AddedSegment>, &Path)) {
    db.write_base().expect("the base is written");
    db.close().expect("the run ends well");
    drop(db);
    let disk = Disk { env: Env::os(), layout: Layout::new(root), planted: None };
    let entries = disk.env.fs.list(&disk.layout.base()).expect("the folder is there");
    let name: BaseName = entries.iter().filter_map(|e| e.name.parse().ok()).max().expect("there is a base");
    let (mut newest, _): (Base, _) = base::read(&disk, name).expect("the base is whole");
    for table in &mut newest.tables {
        let Some(named) = &mut table.segments else { continue };
        let path = disk.layout.db().join(&named.file);
        let mut list: TableBase = document::read(&disk.env, &path).expect("the list is whole");
        change(&mut list.segments, root);
        let dir = disk.layout.table(&table.dir);
        for AddedSegment { segment, .. } in &list.segments {
            let path = dir.join(&segment.file);
            let _ = std::fs::create_dir(path.parent().expect("a file stands in a directory"));
            let _ = disk.env.fs.create_new(&path);
        }
        let file = format!("{}/_base/changed.json", table.dir);
        let bytes = document::encode(&list);
        document::write(&disk.env, &disk.layout.db().join(&file), &bytes).expect("the list is written");
        *named = document::reference(file, &bytes);
    }
    let path = disk.layout.base().join(name.to_string());
    disk.env.fs.unlink(&path).expect("the base is there");
    document::write(&disk.env, &path, &document::encode(&newest)).expect("the base is written");
}

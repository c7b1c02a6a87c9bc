//! Starts over a full log that no segment has: of 1,000-row commits, and of commits of one row.

use std::path::{Path, PathBuf};

use storage::env::join::{Join, at_once, in_turn};
use storage::{CommitMode, Database, Env, NewColumn, NewTable, Options};
use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, SymbolColumn, TableId, TableName};

pub fn run() {
    measure("256 MB of 1,000-row commits", 256 << 20, 1_000);
    if std::env::args().nth(2).as_deref() != Some("short") {
        measure("1 GB of 1,000-row commits", 1 << 30, 1_000);
        measure("256 MB of one-row commits", 256 << 20, 1);
    }
}

/// Time that this thread has run.
pub fn cpu_ms() -> f64 {
    let text = Env::os().fs.read(Path::new("/proc/thread-self/schedstat")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e6
}

fn options(root: &PathBuf, bytes: u64) -> Options {
    let mut options = Options::new(root);
    options.commit_mode = CommitMode::NoSync;
    options.flush_bytes = 4 * bytes;
    options.base_bytes = 4 * bytes;
    options
}

fn measure(what: &str, bytes: u64, batch_rows: usize) {
    let root = std::env::temp_dir().join(format!("stillpoint-measure-{}", std::process::id()));
    let env = Env::os();
    env.fs.create_dir(&root).expect("the folder is new");
    let (commits, rows) = fill(&root, bytes, batch_rows);
    println!("{what}: {commits} commits, {rows} rows");
    starts(&root, bytes, rows, "one thread", in_turn);
    starts(&root, bytes, rows, "two threads", at_once);
    std::fs::remove_dir_all(&root).expect("the folder is ours");
}

fn starts(root: &PathBuf, bytes: u64, rows: u64, how: &str, join: Join) {
    let env = Env::os();
    let (mut took, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (start, cpu_before) = (env.clock.now_us(), cpu_ms());
        let db = Database::open(Env { join, ..Env::os() }, options(root, bytes)).expect("the start goes well");
        took.push((env.clock.now_us() - start) as f64 / 1e3);
        cpu.push(cpu_ms() - cpu_before);
        let counted: u64 = db.view().tables().iter().map(|t| t.row_count().expect("the rows are counted")).sum();
        assert_eq!(counted, rows);
    }
    took.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    println!(
        "  {how}: best of 5 starts {:.0} ms, median {:.0} ms ({:.0} ms of CPU of the first)",
        took[0], took[2], cpu[2]
    );
}

/// Commits rows of trades until the log has that many bytes; returns commits and rows.
fn fill(root: &PathBuf, bytes: u64, batch_rows: usize) -> (u64, u64) {
    let env = Env::os();
    let db = Database::open(env.clone(), options(root, bytes)).expect("an empty root opens");
    let id = create(&db, "trades");
    let start = env.clock.now_us();
    let (mut commits, mut first) = (0, 0);
    let before = env.fs.counts().written_bytes;
    // Log files are filled with zeros before they are written: twice the bytes.
    while env.fs.counts().written_bytes - before < 2 * bytes {
        db.append(vec![(id, batch(&db, id, first, batch_rows))]).expect("the commit goes well");
        commits += 1;
        first += batch_rows as i64;
    }
    db.step_mark().expect("the mark is written");
    println!("  commits took {:.2} us each", (env.clock.now_us() - start) as f64 / commits as f64);
    (commits, first as u64)
}

/// Makes a table of trades.
pub fn create(db: &Database, name: &str) -> TableId {
    let column = |name: &str, column_type| NewColumn::new(name, column_type);
    let columns = vec![
        column("ts", ColumnType::Timestamp),
        column("symbol", ColumnType::Symbol),
        column("price", ColumnType::Double),
        column("amount", ColumnType::Double),
    ];
    let name = TableName::new(name).expect("a good name");
    db.create_table(NewTable::new(name, columns, Some(0), PartitionBy::Day)).expect("the table is new")
}

/// Returns rows for it.
pub fn batch(db: &Database, id: TableId, first: i64, rows: usize) -> RowBatch {
    let view = db.view().table_by_id(id).expect("the table is there");
    let column = |name: &str, data| Column { id: view.schema().column(name).expect("it has it").id, data };
    let mut symbols = SymbolColumn::default();
    (0..rows).for_each(|r| symbols.push(Some(["BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD"][(first as usize + r) % 4])));
    let times = (0..rows as i64).map(|r| 1_700_000_000_000_000 + (first + r) * 1_000).collect();
    let values = |k: f64| ColumnData::F64((0..rows).map(|r| (first as usize + r) as f64 * k).collect());
    let columns = vec![
        column("ts", ColumnData::I64(times)),
        column("symbol", ColumnData::Symbol(symbols)),
        column("price", values(0.5)),
        column("amount", values(0.25)),
    ];
    RowBatch::new(rows, columns).expect("columns of one length")
}

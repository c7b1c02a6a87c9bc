//! `cargo xtask copies [--tools a,b] [--seed N] [--write]`: a root that is written to, copied by every tool at hand.
//!
//! For each tool: PREPARE while rows are written and tables change, the copy with `db/_live` and `log` left out, COMPLETE; then
//! our server restores what the tool gives back, and every table is compared with the ledger of the cut. No tool may
//! exit with anything but 0, except where [`Tool::also`] says so. Tools that are not installed are named.
//! `--write` puts the table into `docs/copy-tools.md`.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::{build_server, output, root};
use crate::random::seed;
use crate::scratch::{Scratch, files};
use crate::server::Server;
use crate::workload::Workload;

const ROWS_BETWEEN: u64 = 300;

/// A way to copy. `{r}` is the root, `{o}` a directory for the tool, `{x}` where the copy must be in the end.
struct Tool {
    name: &'static str,
    /// The program that it needs.
    program: &'static str,
    copy: &'static str,
    /// How the copy comes back, where it does not lie in `{x}` already.
    give_back: Option<&'static str>,
    /// Exit codes beside 0 that say nothing of the copy.
    also: &'static [i32],
    remark: &'static str,
}

const PLAIN: Tool = Tool { name: "", program: "", copy: "", give_back: None, also: &[], remark: "" };

const TOOLS: [Tool; 22] = [
    Tool {
        name: "stillpoint snapshot copy --to",
        program: "sh",
        copy: "{s} snapshot copy --from {r} --to {x} --server {u}",
        remark: "takes and completes its own snapshot",
        ..PLAIN
    },
    Tool {
        name: "stillpoint snapshot copy --tar",
        program: "tar",
        copy: "{s} snapshot copy --from {r} --tar - --server {u} > {o}/a.tar",
        give_back: Some("mkdir {x} && tar -xf {o}/a.tar -C {x}"),
        remark: "takes and completes its own snapshot",
        ..PLAIN
    },
    Tool { name: "cp -a", program: "cp", copy: "cp -a {r} {x}", remark: "leaves nothing out", ..PLAIN },
    Tool { name: "cp -al", program: "cp", copy: "cp -al {r} {x}", remark: "leaves nothing out", ..PLAIN },
    Tool {
        name: "cp --reflink=auto",
        program: "cp",
        copy: "cp -a --reflink=auto {r} {x}",
        remark: "leaves nothing out",
        ..PLAIN
    },
    Tool { name: "rsync", program: "rsync", copy: "rsync -a --exclude=/db/_live/ --exclude=/log/ {r}/ {x}/", ..PLAIN },
    Tool {
        name: "rsync, twice",
        program: "rsync",
        copy: "rsync -a --exclude=/db/_live/ --exclude=/log/ {r}/ {x}/ && sleep 0.3 && rsync -a --exclude=/db/_live/ --exclude=/log/ {r}/ {x}/",
        ..PLAIN
    },
    Tool {
        name: "rsync --inplace",
        program: "rsync",
        copy: "rsync -a --inplace --exclude=/db/_live/ --exclude=/log/ {r}/ {x}/",
        ..PLAIN
    },
    Tool {
        name: "rsync --link-dest",
        program: "rsync",
        copy: "rsync -a --exclude=/db/_live/ --exclude=/log/ {r}/ {o}/before/ && rsync -a --link-dest={o}/before --exclude=/db/_live/ --exclude=/log/ {r}/ {x}/",
        ..PLAIN
    },
    Tool {
        name: "GNU tar",
        program: "tar",
        copy: "tar -cf {o}/a.tar --exclude=./db/_live --exclude=./log -C {r} .",
        give_back: Some("mkdir {x} && tar -xf {o}/a.tar -C {x}"),
        also: &[1],
        remark: "1: a file appeared in a directory",
    },
    Tool {
        name: "GNU tar -g, levels 0 and 1",
        program: "tar",
        copy: "tar -g {o}/s -cf {o}/0.tar --exclude=./db/_live --exclude=./log -C {r} . ; [ $? -le 1 ] && tar -g {o}/s -cf {o}/1.tar --exclude=./db/_live --exclude=./log -C {r} .",
        give_back: Some("mkdir {x} && tar -g /dev/null -xf {o}/0.tar -C {x} && tar -g /dev/null -xf {o}/1.tar -C {x}"),
        also: &[1],
        remark: "1: a file appeared in a directory",
    },
    Tool {
        name: "bsdtar",
        program: "bsdtar",
        copy: "bsdtar -cf {o}/a.tar --exclude ./db/_live --exclude ./log -C {r} .",
        give_back: Some("mkdir {x} && bsdtar -xf {o}/a.tar -C {x}"),
        ..PLAIN
    },
    Tool {
        name: "cpio",
        program: "cpio",
        copy: "cd {r} && find . -path ./db/_live -prune -o -path ./log -prune -o -print | cpio -o --quiet -H newc > {o}/a.cpio",
        give_back: Some("mkdir {x} && cd {x} && cpio -idm --quiet < {o}/a.cpio"),
        ..PLAIN
    },
    Tool {
        name: "zip",
        program: "zip",
        copy: "cd {r} && zip -0 -q -r {o}/a.zip . -x 'db/_live/*' 'log/*'",
        give_back: Some("unzip -q {o}/a.zip -d {x}"),
        ..PLAIN
    },
    Tool {
        name: "restic",
        program: "restic",
        copy: "restic init -q -r {o}/repo && cd {r} && restic backup -q -r {o}/repo --exclude {r}/db/_live --exclude {r}/log .",
        give_back: Some("restic restore latest -q -r {o}/repo --target {x}"),
        ..PLAIN
    },
    Tool {
        name: "borg",
        program: "borg",
        copy: "borg init -e none {o}/repo && cd {r} && borg create --exclude pp:db/_live --exclude pp:log {o}/repo::a .",
        give_back: Some("mkdir {x} && cd {x} && borg extract {o}/repo::a"),
        ..PLAIN
    },
    Tool {
        name: "rclone",
        program: "rclone",
        copy: "rclone copy --create-empty-src-dirs --exclude '/db/_live/**' --exclude '/log/**' {r} {x}",
        ..PLAIN
    },
    Tool {
        name: "rdiff-backup",
        program: "rdiff-backup",
        copy: "rdiff-backup backup --exclude {r}/db/_live --exclude {r}/log {r} {o}/repo",
        give_back: Some("rdiff-backup restore {o}/repo {x}"),
        ..PLAIN
    },
    Tool {
        name: "duplicity",
        program: "duplicity",
        copy: "duplicity full --no-encryption --archive-dir {o}/cache --exclude {r}/db/_live --exclude {r}/log {r} file://{o}/repo",
        give_back: Some("duplicity restore --no-encryption --archive-dir {o}/cache file://{o}/repo {x}"),
        ..PLAIN
    },
    Tool {
        name: "dar",
        program: "dar",
        copy: "dar -Q -q -c {o}/a -R {r} -P db/_live -P log",
        give_back: Some("mkdir {x} && dar -Q -q -x {o}/a -R {x}"),
        ..PLAIN
    },
    Tool {
        name: "Python's copytree",
        program: "python3",
        copy: "python3 -c 'import shutil; shutil.copytree(\"{r}\", \"{x}\", ignore=shutil.ignore_patterns(\"_live\", \"log\"))'",
        ..PLAIN
    },
    Tool {
        name: "dd of each file",
        program: "dd",
        copy: "cd {r} && find . -path ./db/_live -prune -o -path ./log -prune -o -type f -print | while read -r f; do mkdir -p \"{x}/$(dirname \"$f\")\" && dd if=\"$f\" of=\"{x}/$f\" bs=64K status=none || exit 1; done",
        ..PLAIN
    },
];

/// What became of one tool's copy.
struct Row {
    tool: &'static Tool,
    exit: i32,
    seconds: f64,
    megabytes: f64,
    rows: u64,
}

/// Copies with each tool (or those that are named) and compares.
pub fn run(args: &[String]) -> Result<()> {
    let binary = build_server()?;
    let seed = seed(args)?;
    let named: Option<Vec<&str>> =
        args.iter().position(|a| a == "--tools").and_then(|at| args.get(at + 1)).map(|list| list.split(',').collect());
    let scratch = Scratch::new("copies")?;
    let place = scratch.path("root");
    let mut workload = Workload::new(seed);
    let server = Server::start(&binary, &place)?;
    let (mut rows, mut missing, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    println!("{:<32} {:>4} {:>6} {:>6} {:>8}", "tool", "exit", "s", "MB", "rows");
    for tool in TOOLS.iter().filter(|tool| named.as_ref().is_none_or(|n| n.iter().any(|n| tool.name.starts_with(n)))) {
        if !is_installed(tool.program) {
            println!("{:<32} NOT INSTALLED: {} was not found; nothing is known of it", tool.name, tool.program);
            missing.push(tool.name);
            continue;
        }
        match copied(tool, &binary, &server, &place, &scratch, &mut workload) {
            Ok(row) => {
                let Row { exit, seconds, megabytes, rows: restored, .. } = row;
                println!("{:<32} {exit:>4} {seconds:>6.1} {megabytes:>6.1} {restored:>8}", tool.name);
                rows.push(row);
            }
            Err(error) => {
                println!("{:<32} WRONG: {error}", tool.name);
                wrong.push(format!("{}: {error}", tool.name));
            }
        }
    }
    server.stop()?;
    if args.iter().any(|a| a == "--write") {
        std::fs::write(root().join("docs/copy-tools.md"), page(&rows, &missing))?;
    }
    if !wrong.is_empty() {
        return Err(format!("copies (--seed {seed}): {}", wrong.join("; ")).into());
    }
    println!("copies: {} tools, each copy restored and compared; {} not installed", rows.len(), missing.len());
    Ok(())
}

fn is_installed(program: &str) -> bool {
    shell(&format!("command -v {program}")).is_ok_and(|found| found.status.success())
}

fn shell(script: &str) -> Result<Output> {
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).env("RESTIC_PASSWORD", "x").env("PASSPHRASE", "x");
    command.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes").env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    Ok(command.output()?)
}

fn copied(
    tool: &'static Tool,
    binary: &Path,
    server: &Server,
    place: &Path,
    scratch: &Scratch,
    workload: &mut Workload,
) -> Result<Row> {
    let (work, x) = (scratch.path("work"), scratch.path("copy"));
    std::fs::create_dir(&work)?;
    let fill = |script: &str| {
        let url = format!("http://127.0.0.1:{}", server.http_port);
        let parts = [("{r}", place), ("{o}", &work), ("{x}", &x), ("{s}", binary), ("{u}", Path::new(&url))];
        let filled =
            parts.iter().fold(script.to_owned(), |s, (mark, path)| s.replace(mark, &path.display().to_string()));
        format!("export RESTIC_CACHE_DIR={0}/cache BORG_BASE_DIR={0}/borg; {filled}", work.display())
    };
    let goal = workload.acknowledged().totals().0 + ROWS_BETWEEN;
    let running = workload.start(server);
    while workload.acknowledged().totals().0 < goal && !running.has_failed() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut http = server.http()?;
    let takes_own = tool.copy.starts_with("{s}");
    let low = workload.acknowledged();
    if !takes_own {
        http.exec("SNAPSHOT PREPARE")?;
    }
    let mut high = workload.sent();
    let started = Instant::now();
    let done = shell(&fill(tool.copy))?;
    let seconds = started.elapsed().as_secs_f64();
    if takes_own {
        high = workload.sent();
    } else {
        http.exec("SNAPSHOT COMPLETE")?;
    }
    running.stop()?;
    let checked = give_back(tool, &done, &fill, binary, &x).and_then(|(exit, megabytes)| {
        let restored = Server::start(binary, &x)?;
        let seen = workload.check(&mut restored.http()?, &low, &high)?;
        restored.stop()?;
        Ok(Row { tool, exit, seconds, megabytes, rows: seen.totals().0 })
    });
    for dir in [&work, &x] {
        output(Command::new("rm").arg("-rf").arg(dir))?;
    }
    checked
}

/// Brings the copy to its place, with the trigger of a restore; returns the tool's exit code and what it copied.
fn give_back(tool: &Tool, done: &Output, fill: &dyn Fn(&str) -> String, binary: &Path, x: &Path) -> Result<(i32, f64)> {
    let exit = done.status.code().unwrap_or(-1);
    if exit != 0 && !tool.also.contains(&exit) {
        return Err(format!("exit {exit}: {}", last_line(done)).into());
    }
    if let Some(script) = tool.give_back {
        let back = shell(&fill(script))?;
        if !back.status.success() {
            return Err(format!("giving the copy back: {}", last_line(&back)).into());
        }
    }
    let mut bytes = 0;
    for file in files(x)? {
        bytes += std::fs::metadata(file)?.len();
    }
    output(Command::new(binary).arg("verify").arg(x))?;
    std::fs::write(x.join("_restore"), "")?;
    Ok((exit, bytes as f64 / 1e6))
}

fn last_line(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).trim().lines().last().unwrap_or("it said nothing").to_owned()
}

fn page(rows: &[Row], missing: &[&str]) -> String {
    let mut page = "# Copy tools beside a server that is written to\n\n\
        What `cargo xtask copies --write` saw: each tool copied a root, with `db/_live` and `log` left out unless the remark says\n\
        otherwise, between PREPARE and COMPLETE, while three writers sent rows and a fourth made, changed and dropped tables. Each copy\n\
        was verified, restored and compared with the writers' ledger of the cut.\n\n\
        | tool | exit | remark |\n|---|---|---|\n"
        .to_owned();
    for row in rows {
        let also: String = row.tool.also.iter().map(|code| format!(" or {code}")).collect();
        page.push_str(&format!("| `{}` | 0{also} | {} |\n", row.tool.name, row.tool.remark));
    }
    if !missing.is_empty() {
        page.push_str(&format!("\nNot installed, so nothing is known of them: {}.\n", missing.join(", ")));
    }
    page.push_str("\nThe commands stand in `xtask/src/copies.rs`.\n");
    page
}

//! Whose root this is: a new one is made, ours is opened, anyone else's is refused untouched.

use serde::{Deserialize, Serialize};

use crate::document;
use crate::env::fs::FileKind;
use crate::layout::{Disk, list_or_none};
use crate::log::Place;
use crate::{Error, Result};

/// Version of the layout of a root.
pub const ROOT_FORMAT_VERSION: u32 = 1;

/// Content of `db/_stillpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    pub format: u32,
    /// 32 hex digits.
    pub database_id: String,
}

impl Marker {
    /// Returns the database's id as a number.
    pub fn id(&self) -> Option<u128> {
        u128::from_str_radix(&self.database_id, 16).ok()
    }
}

/// Makes `db` if it is missing, for a root that holds no database yet.
pub fn make_db_dir(disk: &Disk) -> Result<()> {
    let db = disk.layout.db();
    let root = disk.layout.root();
    for (dir, parent) in [(root, root.parent()), (&db, Some(root))] {
        if !disk.env.fs.exists(dir).map_err(Error::io(dir))? {
            disk.env.fs.create_dir(dir).map_err(Error::io(dir))?;
            let parent = parent.unwrap_or(dir);
            disk.env.fs.sync_dir(parent).map_err(Error::io(parent))?;
        }
    }
    Ok(())
}

/// Returns the marker of a root, making one in an empty `db`.
///
/// # Errors
/// [`Error::Refused`] when `db` holds something that is not ours, or is of a newer format.
pub fn identify(disk: &Disk) -> Result<Marker> {
    let path = disk.layout.marker();
    if !disk.env.fs.exists(&path).map_err(Error::io(&path))? {
        refuse_foreign(disk)?;
        return make_marker(disk);
    }
    match document::read::<Marker>(&disk.env, &path) {
        Ok(marker) if marker.format == ROOT_FORMAT_VERSION && marker.id().is_some() => Ok(marker),
        Ok(marker) => Err(Error::Refused(format!(
            "{} has format {}, this server reads {ROOT_FORMAT_VERSION}: start it with the newer server that wrote it",
            disk.layout.root().display(),
            marker.format
        ))),
        Err(Error::Corrupt { .. }) if only_marker(disk)? => {
            // The very first start was cut short while it wrote the marker; nothing else exists yet.
            disk.env.fs.unlink(&path).map_err(Error::io(&path))?;
            make_marker(disk)
        }
        Err(e) => Err(e),
    }
}

/// Reads the marker of a root that must have one, changing nothing.
pub fn read_marker(disk: &Disk) -> Result<Marker> {
    let path = disk.layout.marker();
    if !disk.env.fs.exists(&path).map_err(Error::io(&path))? {
        refuse_foreign(disk)?;
        return Err(Error::Refused(format!(
            "{} asks for a restore, but there is no database in {} and no snapshot/default: \
             put a whole copy of a root in its place, or remove _restore to begin an empty database",
            disk.layout.restore_trigger().display(),
            disk.layout.root().display()
        )));
    }
    refuse_symlink(disk, &path)?;
    document::read(&disk.env, &path)
}

fn make_marker(disk: &Disk) -> Result<Marker> {
    let id = u128::from(disk.env.rng.next_u64()) << 64 | u128::from(disk.env.rng.next_u64());
    let marker = Marker { format: ROOT_FORMAT_VERSION, database_id: format!("{id:032x}") };
    document::write(&disk.env, &disk.layout.marker(), &document::encode(&marker))?;
    disk.env.fs.sync_dir(&disk.layout.db()).map_err(Error::io(&disk.layout.db()))?;
    Ok(marker)
}

fn refuse_foreign(disk: &Disk) -> Result<()> {
    let entries = match disk.env.fs.list(&disk.layout.db()) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(&disk.layout.db())(e)),
    };
    let harmless = |name: &str| name == "lost+found" || name.starts_with('.');
    let Some(foreign) = entries.iter().find(|e| !harmless(&e.name)) else { return Ok(()) };
    refuse_without_marker(disk)?;
    let of_questdb = entries.iter().any(|e| e.name.starts_with("tables.d") || e.name == "_tab_index.d");
    Err(Error::Refused(if of_questdb {
        format!(
            "{} was written by QuestDB, and this server cannot read it; nothing was touched. Start QuestDB on it, \
             read its tables with /exp and send the rows to an empty root of this server with /write",
            disk.layout.root().display()
        )
    } else {
        format!(
            "{} holds files that are not of this database ({}), and no _stillpoint; nothing was touched. Choose an empty \
             root with -d, or copy a root whole",
            disk.layout.db().display(),
            foreign.name
        )
    }))
}

/// Refuses a `db` that has lost its marker.
pub fn refuse_without_marker(disk: &Disk) -> Result<()> {
    let entries = list_or_none(disk, &disk.layout.db())?;
    if !entries.iter().any(|e| ["_log", "_base", "_timeline"].contains(&e.name.as_str())) {
        return Ok(());
    }
    let detail = "is missing, though the rest of a database is there; the copy is not whole, use another copy";
    Err(Error::corrupt(&disk.layout.marker(), detail))
}

fn only_marker(disk: &Disk) -> Result<bool> {
    let entries = disk.env.fs.list(&disk.layout.db()).map_err(Error::io(&disk.layout.db()))?;
    Ok(entries.iter().all(|e| e.name == "_stillpoint" || e.name == "lost+found" || e.name.starts_with('.')))
}

/// Makes the directories below `db` and `snapshot` that are missing. Their names are durable when this returns.
pub fn make_dirs(disk: &Disk) -> Result<()> {
    for dir in
        [disk.layout.live(), disk.layout.log(), disk.layout.base(), disk.layout.timeline(), disk.layout.snapshot()]
    {
        if !disk.env.fs.exists(&dir).map_err(Error::io(&dir))? {
            disk.env.fs.create_dir(&dir).map_err(Error::io(&dir))?;
        }
    }
    // A run that was killed may have made them without syncing their names.
    disk.env.fs.sync_dir(&disk.layout.db()).map_err(Error::io(&disk.layout.db()))?;
    disk.env.fs.sync_dir(disk.layout.root()).map_err(Error::io(disk.layout.root()))
}

/// Returns where this process runs.
pub fn place(disk: &Disk) -> Result<Place> {
    let machine_id = std::path::Path::new("/etc/machine-id");
    let machine = match disk.env.fs.read(machine_id) {
        Ok(bytes) => u64::from(crc32c::crc32c(&bytes)) << 32 | u64::from(crc32c::crc32c_append(1, &bytes)),
        // Containers and simulations have none; then the root's inode alone tells places apart.
        Err(_) => 0,
    };
    let inode = disk.env.fs.metadata(disk.layout.root()).map_err(Error::io(disk.layout.root()))?.inode;
    Ok(Place { machine, inode })
}

/// Refuses a symbolic link in place of `db` or something below it that a restore would follow.
pub fn refuse_symlink(disk: &Disk, path: &std::path::Path) -> Result<()> {
    match disk.env.fs.metadata(path) {
        Ok(m) if m.kind == FileKind::Symlink => Err(Error::Refused(format!(
            "{} is a symbolic link: in a copy it leads back into the live database, so copy what it points to; in a root, put a bind \
             mount in its place",
            path.display()
        ))),
        _ => Ok(()),
    }
}

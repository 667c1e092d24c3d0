//! What the figures were taken on.

/// Prints processor, cores, kernel and file system.
pub(crate) fn tell() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let temp = std::env::temp_dir();
    println!(
        "{}, {cores} cores, Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        uname.release().to_string_lossy()
    );
    println!(
        "{}: file system {}, load {}",
        temp.display(),
        file_system(&temp),
        load.split(' ').next().unwrap_or_default()
    );
}

fn file_system(dir: &std::path::Path) -> String {
    match rustix::fs::statfs(dir).map(|found| found.f_type as u32) {
        Ok(0xef53) => "ext4".to_owned(),
        Ok(0x9123_683e) => "btrfs".to_owned(),
        Ok(0x5846_5342) => "xfs".to_owned(),
        Ok(0x0102_1994) => "tmpfs: nothing reaches a disk, so no figure means anything".to_owned(),
        Ok(number) => format!("{number:x}"),
        Err(error) => error.to_string(),
    }
}

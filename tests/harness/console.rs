//! A machine's serial console: lines with the seconds since the machine was made, kept and written to a file, and waited
//! for without polling.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A guest that prints without end must not fill the memory.
const MOST_LINES: usize = 20_000;
const LONGEST_LINE: usize = 2_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the machine was made.
    pub at: Duration,
    /// Without control characters.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.2} {}", self.at.as_secs_f64(), self.text)
    }
}

/// The console. Clones look at the same lines.
#[derive(Debug, Clone)]
pub struct Console(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    born: Instant,
    lines: Mutex<Vec<Line>>,
    file: Mutex<File>,
    count: watch::Sender<usize>,
    /// The other direction of the present boot's line.
    keyboard: Mutex<Option<UnixStream>>,
}

impl Console {
    /// A console whose lines also go to `file`.
    ///
    /// # Panics
    /// When the file cannot be made.
    pub fn new(file: &Path) -> Self {
        let made = File::create(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let lines = Mutex::new(Vec::new());
        let (file, count, keyboard) = (Mutex::new(made), watch::Sender::new(0), Mutex::default());
        Console(Arc::new(Shared { born: Instant::now(), lines, file, count, keyboard }))
    }

    /// Listens on an abstract socket (which belongs to the story's network namespace) for the emulator, boot after boot.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn listen(&self, name: &str) {
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        let listener = UnixListener::bind_addr(&address).expect("a console of this name only once");
        let console = self.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                *console.0.keyboard.lock().unwrap_or_else(PoisonError::into_inner) = stream.try_clone().ok();
                let mut feed = Feed::new(console.clone());
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    feed.bytes(&bytes[..count]);
                }
                feed.end();
            }
        });
    }

    /// Types a line.
    ///
    /// # Panics
    /// When nothing is connected to the console.
    pub fn types(&self, text: &str) {
        let mut keyboard = self.0.keyboard.lock().unwrap_or_else(PoisonError::into_inner);
        let line = keyboard.as_mut().expect("the machine runs");
        line.write_all(format!("{text}\n").as_bytes()).expect("the machine reads its console");
    }

    /// Adds a line of our own, such as a change of power.
    pub fn note(&self, text: &str) {
        let line = Line { at: self.0.born.elapsed(), text: text.to_owned() };
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{line}");
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST_LINES {
            lines.push(line);
        }
        self.0.count.send_replace(lines.len());
    }

    /// How many lines there are: a mark to wait from.
    pub fn mark(&self) -> usize {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The lines from a mark on.
    pub fn since(&self, mark: usize) -> Vec<Line> {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(mark..).unwrap_or_default().to_vec()
    }

    /// The first line from `mark` on that contains `text`, as soon as there is one; `None` after `patience`.
    pub async fn find(&self, mark: usize, text: &str, patience: Duration) -> Option<Line> {
        let mut changes = self.0.count.subscribe();
        let look = async {
            loop {
                if let Some(line) = self.since(mark).into_iter().find(|line| line.text.contains(text)) {
                    return line;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(patience, look).await.ok()
    }

    /// The last lines, for a report.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.since(self.mark().saturating_sub(count));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Cuts bytes into lines and drops what terminals are told with.
struct Feed {
    console: Console,
    line: Vec<u8>,
    escape: Escape,
}

#[derive(PartialEq)]
enum Escape {
    No,
    Started,
    Inside,
}

impl Feed {
    fn new(console: Console) -> Self {
        Feed { console, line: Vec::new(), escape: Escape::No }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match (&self.escape, byte) {
                (Escape::No, 0x1b) => self.escape = Escape::Started,
                (Escape::Started, b'[') => self.escape = Escape::Inside,
                (Escape::Started, _) => self.escape = Escape::No,
                (Escape::Inside, b'@'..=b'~') => {
                    self.escape = Escape::No;
                    // Firmware places text with the cursor: a new position is a new line.
                    if matches!(byte, b'H' | b'f') {
                        self.end();
                    }
                }
                (Escape::Inside, _) => {}
                (Escape::No, b'\n' | b'\r') => self.end(),
                (Escape::No, b' '..) if self.line.len() < LONGEST_LINE => self.line.push(byte),
                (Escape::No, _) => {}
            }
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            self.console.note(text.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Console, Feed};

    #[tokio::test]
    async fn lines_are_found_once_they_come_and_not_before_the_mark() {
        let dir = tempfile::tempdir().unwrap();
        let console = Console::new(&dir.path().join("console.log"));
        let mut feed = Feed::new(console.clone());
        feed.bytes(b"\x1b[2J\x1b[01;01HOS: rea");
        assert!(console.find(0, "OS: ready", Duration::from_millis(10)).await.is_none());
        let waiting = tokio::spawn({
            let console = console.clone();
            async move { console.find(0, "OS: ready", Duration::from_secs(5)).await }
        });
        feed.bytes(b"dy host=a\x07\r\n\r\n");
        assert_eq!(waiting.await.unwrap().unwrap().text, "OS: ready host=a");
        let mark = console.mark();
        assert_eq!(mark, 1);
        assert!(console.find(mark, "OS: ready", Duration::from_millis(10)).await.is_none());
        assert!(std::fs::read_to_string(dir.path().join("console.log")).unwrap().contains("OS: ready host=a"));
    }
}

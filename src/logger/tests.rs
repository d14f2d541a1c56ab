//! Loggers over pipes, files and a terminal that only remembers. Whatever might hang has a deadline.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use log::Level;

use super::line::LINE_MAX;
use super::output::Terminal;
use super::queue::LINES_MAX;
use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// A place to write that remembers each call.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Vec<u8>>>>);

impl Calls {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().concat()).unwrap()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Write for Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logger_over(to: impl Write + Send + 'static) -> (Logger, Front) {
    logger_with(to, LevelFilter::Trace, None)
}

fn everything() -> Options {
    Options {
        level: LevelFilter::Trace,
        tail: None,
        file: None,
        wording: None,
    }
}

fn logger_with(
    to: impl Write + Send + 'static,
    level: LevelFilter,
    tail: Option<LevelFilter>,
) -> (Logger, Front) {
    let file = None;
    let options = Options {
        level,
        tail,
        file,
        wording: None,
    };
    Logger::over(Output::new(Box::new(to), None, None), &options).unwrap()
}

fn say(front: &Front, level: Level, message: &str) {
    let record = |args: std::fmt::Arguments<'_>| {
        front.log(
            &Record::builder()
                .level(level)
                .target("hydrant::roles")
                .args(args)
                .build(),
        );
    };
    record(format_args!("{message}"));
}

/// What stands behind the time and the level.
fn message(line: &str) -> &str {
    line.split_once("] ")
        .expect("a level is followed by the message")
        .1
}

fn fresh_path(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("hydrant-{}-{count}-{name}", process::id()))
}

#[test]
fn the_last_lines_are_kept_for_those_who_look_elsewhere() {
    let calls = Calls::default();
    let (logger, front) = logger_with(calls.clone(), LevelFilter::Error, Some(LevelFilter::Info));
    say(&front, Level::Info, "one");
    say(&front, Level::Debug, "two");
    say(&front, Level::Error, "three");
    let texts = |after| {
        let tail = logger.queue.tail(after).into_iter();
        tail.map(|(number, line)| (number, line.split("] ").nth(1).unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(0), [(1, "one".to_owned()), (2, "three".to_owned())]);
    assert_eq!(texts(1), [(2, "three".to_owned())]);
    assert!(texts(2).is_empty());
    assert!(logger.flush(DEADLINE));
    assert_eq!(
        calls.text().lines().count(),
        1,
        "only what is shown is written"
    );
    for number in 0..2000 {
        say(
            &front,
            Level::Info,
            &format!("{number} {}", "é".repeat(2000)),
        );
    }
    let tail = logger.queue.tail(0);
    assert_eq!((tail.len(), tail[999].0), (1000, 2002));
    assert!(tail.iter().all(|(_, line)| line.len() <= 2048));
}

#[test]
fn a_line_has_its_shape_and_takes_one_call() {
    let calls = Calls::default();
    let (logger, front) = logger_over(calls.clone());
    say(
        &front,
        Level::Info,
        "relay[sports]: listening on 0.0.0.0:6000 for clients",
    );
    say(&front, Level::Error, "");
    assert!(logger.flush(DEADLINE));
    assert_eq!(calls.count(), 2);
    let text = calls.text();
    let (first, second) = text.split_once('\n').unwrap();

    let shape = "dddd-dd-ddTdd:dd:dd.dddZ ";
    let (time, rest) = first.split_at(shape.len());
    for (c, s) in time.chars().zip(shape.chars()) {
        assert!(if s == 'd' { c.is_ascii_digit() } else { c == s }, "{time}");
    }
    assert_eq!(
        rest,
        "[INFO] relay[sports]: listening on 0.0.0.0:6000 for clients"
    );
    assert_eq!(&second[shape.len()..], "[ERROR] \n");
}

#[test]
fn libraries_are_not_heard() {
    let calls = Calls::default();
    let (logger, front) = logger_over(calls.clone());
    for target in ["mio::poll", "hydrantic"] {
        front.log(
            &Record::builder()
                .target(target)
                .args(format_args!("hello"))
                .build(),
        );
    }
    assert!(logger.flush(DEADLINE));
    assert_eq!(calls.text(), "");
}

#[test]
fn a_record_is_one_line_whatever_a_peer_put_into_it() {
    let calls = Calls::default();
    let (logger, front) = logger_over(calls.clone());
    say(&front, Level::Warn, "bad name \"a\nb\r\x1b[2J\u{9b}é\t\"\n");
    assert!(logger.flush(DEADLINE));
    let text = calls.text();
    assert_eq!(
        message(&text),
        "bad name \"a\\nb\\r\\u{1b}[2J\\u{9b}é\t\"\\n\n"
    );
}

#[test]
fn a_long_line_is_cut() {
    let calls = Calls::default();
    let (logger, front) = logger_over(calls.clone());
    let head = "2026-01-01T12:00:00.123Z [WARN] ".len();
    let longest = "é".repeat((LINE_MAX - head) / 2);
    say(&front, Level::Warn, &longest);
    say(&front, Level::Warn, &format!("{longest}é"));
    say(&front, Level::Warn, &"\n".repeat(LINE_MAX * 2));
    assert!(logger.flush(DEADLINE));
    let text = calls.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(message(lines[0]), longest);
    for line in &lines[1..] {
        assert!(
            line.len() <= LINE_MAX && line.ends_with("..."),
            "{}",
            line.len()
        );
    }
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_pipe_that_nobody_reads_stops_nobody_and_the_loss_is_told() {
    let (reader, writer) = io::pipe().unwrap();
    let (logger, front) = logger_over(writer);
    let (done, finished) = mpsc::channel();
    let flood = thread::spawn(move || {
        for n in 0..FLOOD {
            say(&front, Level::Info, &format!("{n} {}", "x".repeat(1000)));
        }
        done.send(()).unwrap();
        front
    });
    finished
        .recv_timeout(DEADLINE)
        .expect("logging does not wait for the pipe");
    let front = flood.join().unwrap();
    assert!(!logger.flush(Duration::from_millis(1)), "the pipe is full");

    // Every line is either there, in order, or counted; and the count stands where they are missing.
    let mut next = 0;
    let mut told = 0;
    let mut lines = BufReader::new(reader).lines();
    while next < FLOOD {
        let line = lines.next().unwrap().unwrap();
        match message(&line).split_once(" log lines dropped: ") {
            Some((count, why)) => {
                assert_eq!(why, "stderr was not read");
                assert!(line.contains("[WARN]"));
                told += 1;
                next += count.parse::<usize>().unwrap();
            }
            None => {
                assert_eq!(message(&line).split_once(' ').unwrap().0, next.to_string());
                next += 1;
            }
        }
    }
    assert_eq!((next, told), (FLOOD, 1));

    say(&front, Level::Info, "there again");
    assert_eq!(message(&lines.next().unwrap().unwrap()), "there again");
    assert!(logger.flush(DEADLINE));
}

/// More lines than the pipe and the queue hold together.
const FLOOD: usize = 2 * LINES_MAX + 100;

#[test]
fn an_overflowed_queue_takes_nothing_until_half_of_it_is_free() {
    let queue = Queue::new("too bad".to_owned(), LevelFilter::Trace, None);
    let mut shape = Shape::new();
    let mut push = |text: &str| {
        let mut record = |args: std::fmt::Arguments<'_>| {
            queue.push(&mut shape, &Record::builder().args(args).build());
        };
        record(format_args!("{text}"));
    };
    let take = || match queue.next(&mut Shape::new()) {
        queue::Job::Line(line) => message(str::from_utf8(&line).unwrap())
            .trim_end()
            .to_owned(),
        other => panic!("{other:?} is no line"),
    };
    for _ in 0..LINES_MAX {
        push("fits");
    }
    push("dropped");
    for _ in 0..LINES_MAX / 2 {
        assert_eq!(take(), "fits");
        push("dropped");
    }
    assert_eq!(take(), "fits");
    push("again");
    for _ in 1..LINES_MAX / 2 {
        assert_eq!(take(), "fits");
    }
    assert_eq!(
        take(),
        format!("{} log lines dropped: too bad", LINES_MAX / 2 + 1)
    );
    assert_eq!(take(), "again");
}

#[test]
fn a_reader_that_left_ends_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    let (logger, front) = logger_over(writer);
    drop(reader);
    for _ in 0..10 * LINES_MAX {
        say(&front, Level::Info, "to nobody");
    }
    assert!(logger.flush(DEADLINE), "the queue is emptied all the same");
}

#[test]
fn a_renamed_file_is_opened_anew() {
    let (path, aside) = (fresh_path("new.log"), fresh_path("old.log"));
    let (logger, front) =
        Logger::over(Output::open(Some(path.clone())).unwrap(), &everything()).unwrap();
    say(&front, Level::Info, "one");
    assert!(logger.flush(DEADLINE));
    fs::rename(&path, &aside).unwrap();
    say(&front, Level::Info, "two");
    logger.reopen();
    say(&front, Level::Info, "three");
    assert!(logger.flush(DEADLINE));
    let old = fs::read_to_string(&aside).unwrap();
    assert_eq!(old.lines().map(message).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(message(&fs::read_to_string(&path).unwrap()), "three\n");

    // What can't be opened leaves the log where it was.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::remove_file(&aside).unwrap();
    logger.reopen();
    assert!(logger.flush(DEADLINE));
    fs::remove_dir(&path).unwrap();
}

#[test]
fn a_failed_reopening_is_told_in_the_old_file() {
    let directory = fresh_path("directory");
    fs::create_dir(&directory).unwrap();
    let calls = Calls::default();
    let output = Output::new(Box::new(calls.clone()), Some(directory.clone()), None);
    let (logger, front) = Logger::over(output, &everything()).unwrap();
    logger.reopen();
    say(&front, Level::Info, "still here");
    assert!(logger.flush(DEADLINE));
    let text = calls.text();
    let lines: Vec<&str> = text.lines().map(message).collect();
    assert!(lines[0].starts_with("can't open the log file "), "{text}");
    assert!(lines[0].contains(directory.to_str().unwrap()), "{text}");
    assert_eq!(lines[1], "still here");
    fs::remove_dir(&directory).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let path = fresh_path("nowhere").join("x.log");
    let error = Output::open(Some(path.clone())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn lines_that_could_not_be_written_are_told_of_later() {
    struct Moody(Calls, u32);
    impl Write for Moody {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 {
                1 => Err(io::ErrorKind::StorageFull.into()),
                2 => Err(io::ErrorKind::WouldBlock.into()),
                3 => self.0.write(&bytes[..3]),
                _ => self.0.write(bytes),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let calls = Calls::default();
    let (logger, front) = logger_over(Moody(calls.clone(), 0));
    say(&front, Level::Info, "lost");
    say(&front, Level::Info, "kept");
    assert!(logger.flush(DEADLINE));
    let text = calls.text();
    let lines: Vec<&str> = text.lines().map(message).collect();
    assert_eq!(
        lines,
        [
            "kept",
            "log lines lost before this one, for want of a place to write: 1"
        ]
    );
}

#[test]
fn a_live_line_stays_below_the_log() {
    let calls = Calls::default();
    let terminal = Terminal::new(Box::new(calls.clone()), || 6);
    let output = Output::new(Box::new(calls.clone()), None, Some(terminal));
    let (logger, front) = Logger::over(output, &everything()).unwrap();
    assert!(logger.is_live());
    logger.live("up 2h03m");
    assert!(logger.flush(DEADLINE));
    assert_eq!(calls.text(), "\r\x1b[Kup 2h");
    say(&front, Level::Info, "a client joins");
    assert!(logger.flush(DEADLINE));
    let text = calls.text();
    assert!(text.starts_with("\r\x1b[Kup 2h\r\x1b[K2"), "{text:?}");
    assert!(text.ends_with("Z [INFO] a client joins\nup 2h"), "{text:?}");
    logger.live("a\nb");
    assert!(logger.flush(DEADLINE));
    assert!(calls.text().ends_with("\nup 2h\r\x1b[Ka\\nb"));
    logger.live_end();
    say(&front, Level::Info, "over");
    assert!(logger.flush(DEADLINE));
    logger.live_end();
    assert!(logger.flush(DEADLINE));
    assert!(calls.text().ends_with("\r\x1b[K"));
}

#[test]
fn without_a_terminal_there_is_no_live_line() {
    let (mut reader, writer) = io::pipe().unwrap();
    let (logger, front) = logger_over(writer);
    assert!(!logger.is_live());
    logger.live("up 2h03m");
    say(&front, Level::Info, "first");
    assert!(logger.flush(DEADLINE));
    let mut start = [0; 4];
    reader.read_exact(&mut start).unwrap();
    assert!(
        start.iter().all(u8::is_ascii_digit),
        "a year, and no live line"
    );
}

#[test]
fn the_log_starts_once() {
    let path = fresh_path("started.log");
    flush(Duration::ZERO);
    let options = Options {
        level: LevelFilter::Info,
        tail: None,
        file: Some(path.clone()),
        wording: None,
    };
    let logger = Logger::start(options.clone()).unwrap();
    log::info!("told");
    log::debug!("not told");
    assert!(flush(DEADLINE) && logger.flush(DEADLINE));
    // Other tests may have logged as well.
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| message(line).ends_with("told"))
            .count(),
        1
    );
    assert_eq!(
        Logger::start(options).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    fs::remove_file(&path).unwrap();
}

/// A pipe without a reader is said; it would hold up the start, and the log's thread when it is opened anew.
#[test]
fn a_pipe_is_not_waited_for() {
    let name = format!("hydrant-log-{}.pipe", process::id());
    let path = env::temp_dir().join(name);
    let _ = fs::remove_file(&path);
    let made = process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo is one of the coreutils").success());
    let (said, outcome) = mpsc::channel();
    let named = path.clone();
    thread::spawn(move || said.send(Output::open(Some(named)).map(drop)));
    let outcome = outcome.recv_timeout(DEADLINE).expect("it does not wait");
    let error = outcome.expect_err("nobody reads it").to_string();
    assert!(error.contains("nobody reads this pipe"), "{error}");
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("a pipe opens so at once");
    let output = Output::open(Some(path.clone())).expect("somebody reads it");
    let (logger, front) = Logger::over(output, &everything()).expect("a thread");
    say(&front, Level::Info, "through the pipe");
    assert!(logger.flush(DEADLINE));
    let mut line = String::new();
    BufReader::new(reader)
        .read_line(&mut line)
        .expect("it is there");
    assert_eq!(message(line.trim_end()), "through the pipe");
    fs::remove_file(path).expect("it is there");
}

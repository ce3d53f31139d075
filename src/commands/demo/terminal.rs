//! The demo on a terminal.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::screen::draw;
use super::stage::{Ending, Stage};
use crate::commands::signals;

/// The screen is drawn so often.
const FRAME: Duration = Duration::from_millis(100);
/// The end is shown for so long before the summary takes its place.
const CURTAIN: Duration = Duration::from_millis(1_500);

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Quit,
    Pause,
    /// The screen has another size: draw it again.
    Redraw,
}

/// Draws what happens until the end, or until somebody quits. The terminal is left as it was,
/// whatever happens.
///
/// # Errors
/// When the terminal cannot be used.
pub async fn show(stage: &Stage) -> io::Result<Ending> {
    // It also has a panic restore the terminal.
    let terminal = ratatui::try_init()?;
    let closing = CancellationToken::new();
    let (sender, commands) = mpsc::channel(16);
    let watched = closing.clone();
    let keys = tokio::task::spawn_blocking(move || read_keys(&sender, &watched));
    let result = play(stage, terminal, commands).await;
    closing.cancel();
    // Nothing of it is left to care for.
    let _ = keys.await;
    ratatui::restore();
    result
}

async fn play(
    stage: &Stage,
    mut terminal: DefaultTerminal,
    mut commands: mpsc::Receiver<Command>,
) -> io::Result<Ending> {
    let terminated = signals::ended();
    tokio::pin!(terminated);
    let mut paused = false;
    loop {
        terminal.draw(|frame| draw(frame, &stage.view()))?;
        if let Some(ending) = stage.ending() {
            terminal.draw(|frame| draw(frame, &stage.view()))?;
            tokio::time::sleep(CURTAIN).await;
            return Ok(ending);
        }
        tokio::select! {
            () = tokio::time::sleep(FRAME) => {}
            () = &mut terminated => return Ok(stage.stopped()),
            command = commands.recv() => match command {
                Some(Command::Pause) => {
                    paused = !paused;
                    stage.pause(paused);
                }
                Some(Command::Redraw) => {}
                Some(Command::Quit) | None => return Ok(stage.stopped()),
            },
        }
    }
}

fn read_keys(commands: &mpsc::Sender<Command>, closing: &CancellationToken) {
    while !closing.is_cancelled() {
        let command = match event::poll(FRAME) {
            Ok(true) => event::read().ok().and_then(|event| command_of(&event)),
            Ok(false) => None,
            Err(_) => return,
        };
        if let Some(command) = command
            && commands.blocking_send(command).is_err()
        {
            return;
        }
    }
}

fn command_of(event: &Event) -> Option<Command> {
    match event {
        Event::Resize(..) => Some(Command::Redraw),
        // Terminals that tell also when a key is let go say it with another kind.
        Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Command::Quit)
            }
            KeyCode::Char('q') | KeyCode::Esc => Some(Command::Quit),
            KeyCode::Char('p' | ' ') => Some(Command::Pause),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn q_escape_and_control_c_quit_and_p_pauses() {
        let press = |code, modifiers| command_of(&Event::Key(KeyEvent::new(code, modifiers)));
        let none = KeyModifiers::NONE;
        assert_eq!(press(KeyCode::Char('q'), none), Some(Command::Quit));
        assert_eq!(press(KeyCode::Esc, none), Some(Command::Quit));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Command::Quit));
        assert_eq!(press(KeyCode::Char('c'), none), None);
        assert_eq!(press(KeyCode::Char('p'), none), Some(Command::Pause));
    }
}

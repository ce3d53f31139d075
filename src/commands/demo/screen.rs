//! The terminal's picture of a [`View`].

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Cell, Paragraph, Row, Table};

use super::journal::{Entry, Subject};
use super::text::{clock, money, percent};
use super::view::{NodeRow, Stage, View};

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    let narrow = area.width < 100;
    let figures = if narrow { 3 } else { 2 };
    let rows = u16::try_from(view.nodes.len()).unwrap_or(u16::MAX).saturating_add(3);
    // The journal keeps a third of the screen; nodes that find no room are counted.
    let most = area.height.saturating_sub(figures + 2) * 2 / 3;
    let [head, numbers, nodes, journal, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(figures),
        Constraint::Length(rows.clamp(5, most.max(5))),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, view);
    draw_numbers(frame, numbers, view, narrow);
    draw_nodes(frame, nodes, view);
    draw_journal(frame, journal, view);
    draw_foot(frame, foot, view, narrow);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let background = Style::new().bg(Color::Blue).fg(Color::White);
    let state = if view.paused { " paused " } else { "" };
    let left = Line::from(vec![
        Span::from(" Berth ").add_modifier(Modifier::BOLD),
        Span::from("demo: a virtual cluster on Exoscale's price list"),
    ]);
    let speed = if (view.speed - 1.0).abs() > f64::EPSILON {
        format!(" at {}x", view.speed)
    } else {
        String::new()
    };
    let right = Line::from(vec![
        Span::from(state).style(Style::new().bg(Color::Yellow).fg(Color::Black)),
        Span::from(format!(" {} of {}{speed} ", clock(view.elapsed), clock(view.length))),
    ])
    .right_aligned();
    frame.render_widget(Block::new().style(background), area);
    frame.render_widget(left, area);
    frame.render_widget(right, area);
}

fn draw_numbers(frame: &mut Frame<'_>, area: Rect, view: &View, narrow: bool) {
    let value = |text: String| Span::from(text).add_modifier(Modifier::BOLD);
    let name = |text: &'static str| Span::from(text).fg(Color::DarkGray);
    let pods = &view.pods;
    let pending = value(pods.pending.to_string());
    let pods_line = vec![
        name(" pods  "),
        value(pods.running.to_string()).fg(Color::Green),
        name(" running  "),
        value(pods.starting.to_string()),
        name(" starting  "),
        if pods.pending > 0 { pending.fg(Color::Yellow) } else { pending },
        name(" pending  "),
        value(pods.leaving.to_string()),
        name(" leaving"),
    ];
    let price_line = vec![
        name(" price "),
        value(money(view.price)),
        name(" EUR/h  bound "),
        value(view.lower_bound.map_or_else(|| "-".to_owned(), money)),
        name("  gap "),
        value(view.gap().map_or_else(|| "-".to_owned(), percent)),
        name("  spent "),
        value(format!("{:.4}", view.cost.as_f64())),
        name(" EUR"),
    ];
    let extender = &view.extender;
    let extender_line = vec![
        name(" extender  "),
        value(extender.calls.to_string()),
        name(" calls  p50 "),
        value(format!("{:.2}", extender.p50)),
        name(" ms  p99 "),
        value(format!("{:.2}", extender.p99)),
        name(" ms"),
    ];
    let lines = if narrow {
        vec![Line::from(pods_line), Line::from(price_line), Line::from(extender_line)]
    } else {
        let together = pods_line.into_iter().chain([Span::from("   ")]).chain(extender_line);
        vec![Line::from_iter(together), Line::from(price_line)]
    };
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_nodes(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let wide = area.width >= 100;
    let bar = if wide { 28 } else { 14 };
    let room = usize::from(area.height.saturating_sub(3));
    let hidden = view.nodes.len().saturating_sub(room);
    let mut shown: Vec<&NodeRow> = view.nodes.iter().collect();
    if hidden > 0 {
        // Nodes that come or go tell more than those that are just there.
        shown.sort_by_key(|row| match row.stage {
            Stage::Foreign => 0,
            Stage::Booting | Stage::Joining | Stage::Leaving => 1,
            Stage::Ready => 2,
        });
    }
    let title = if hidden == 0 {
        format!(" nodes {} ", view.own_nodes())
    } else {
        format!(" nodes {}, {hidden} not shown ", view.own_nodes())
    };
    let header = ["node", "type", "zone", "EUR/h", "cpu", "memory", "pods", ""];
    let header = Row::new(header.map(|text| Cell::from(text).fg(Color::DarkGray)));
    let rows = shown.into_iter().take(room).map(|row| node_row(row, bar));
    let bar = u16::try_from(bar).unwrap_or(14);
    let widths = [
        Constraint::Length(if wide { 14 } else { 8 }),
        Constraint::Length(if wide { 15 } else { 11 }),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(bar),
        Constraint::Length(bar),
        Constraint::Length(5),
        Constraint::Length(8),
    ];
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::DarkGray))
        .title(Span::from(title).add_modifier(Modifier::BOLD));
    let table = Table::new(rows, widths).header(header).block(block).column_spacing(0);
    frame.render_widget(table, area);
}

fn node_row(row: &NodeRow, bar: usize) -> Row<'static> {
    let color = match row.stage {
        Stage::Foreign => Color::DarkGray,
        Stage::Ready => Color::Green,
        Stage::Joining | Stage::Booting => Color::Yellow,
        Stage::Leaving => Color::Red,
    };
    let pale = matches!(row.stage, Stage::Booting | Stage::Foreign | Stage::Leaving);
    let price = row.price.map(money).unwrap_or_default();
    let name = row.name.strip_prefix("workload-").unwrap_or(&row.name).to_owned();
    Row::new(vec![
        Cell::from(format!("{name} ")),
        Cell::from(short_type(&row.instance_type)),
        Cell::from(row.zone.clone()),
        Cell::from(Line::from(format!("{price} ")).right_aligned()),
        Cell::from(fill(row.cpu, bar - 1, pale)),
        Cell::from(fill(row.memory, bar - 1, pale)),
        Cell::from(Line::from(format!("{} ", row.pods)).right_aligned()),
        Cell::from(row.stage.word()).style(Style::new().fg(color)),
    ])
}

/// `standard.extra-large` is as long as a third of a narrow screen.
fn short_type(name: &str) -> String {
    name.replace("standard.", "std.").replace("memory.", "mem.").replace("extra-large", "xlarge")
}

/// A bar of so many columns with its share written behind it.
fn fill(share: f64, columns: usize, pale: bool) -> Line<'static> {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    const LABEL: usize = 4;
    let columns = columns.saturating_sub(LABEL);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a few dozen columns"
    )]
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let mut bar: String = "█".repeat(eighths / 8);
    let part = eighths % 8;
    if part > 0 {
        bar.push(EIGHTHS[part]);
    }
    let drawn = eighths.div_ceil(8);
    let color = match share {
        _ if pale => Color::DarkGray,
        share if share > 0.6 => Color::Green,
        share if share > 0.3 => Color::Cyan,
        _ => Color::Yellow,
    };
    let rest = Style::new().fg(Color::DarkGray);
    Line::from(vec![
        Span::from(bar).fg(color),
        Span::from("·".repeat(columns - drawn)).style(rest),
        Span::from(format!("{:>LABEL$}", percent(share))).style(rest),
    ])
}

fn draw_journal(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::DarkGray))
        .title(Span::from(" what happened, and why ").add_modifier(Modifier::BOLD));
    let inner = block.inner(area);
    let room = usize::from(inner.height);
    let skipped = view.journal.len().saturating_sub(room);
    let lines: Vec<Line<'_>> =
        view.journal.iter().skip(skipped).map(|entry| journal_line(entry, view)).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn journal_line<'a>(entry: &'a Entry, view: &View) -> Line<'a> {
    let color = match entry.subject {
        Subject::Scenario => Color::Cyan,
        Subject::Launch => Color::Green,
        Subject::Remove => Color::Magenta,
        Subject::Place => Color::Blue,
        Subject::Trouble => Color::Red,
    };
    Line::from(vec![
        Span::from(clock(entry.at.since(view.start))).fg(Color::DarkGray),
        Span::from(format!(" {:<9}", entry.subject.word())).fg(color),
        Span::from(entry.text.as_str()),
    ])
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, view: &View, narrow: bool) {
    let faint = Style::new().fg(Color::DarkGray);
    let shown = view.addresses.iter().filter(|(name, _)| !narrow || *name == "metrics");
    let addresses: Vec<String> = shown.map(|(name, address)| format!("{name} {address}")).collect();
    let keys = Line::from(vec![
        Span::from(" q ").add_modifier(Modifier::REVERSED),
        Span::from(" quit  "),
        Span::from(" p ").add_modifier(Modifier::REVERSED),
        Span::from(" pause  "),
        Span::from(format!("seed {}", view.seed)).style(faint),
    ]);
    frame.render_widget(keys, area);
    let right = Line::from(format!("{} ", addresses.join("   "))).style(faint).right_aligned();
    frame.render_widget(right, area);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_solver::model::{Price, Timestamp};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn node(name: &str, stage: Stage) -> NodeRow {
        NodeRow {
            name: name.to_owned(),
            instance_type: "standard.extra-large".to_owned(),
            zone: "ch-gva-2".to_owned(),
            price: (stage != Stage::Foreign).then_some(Price::from_nanos(193_670_000)),
            stage,
            pods: 12,
            cpu: 0.55,
            memory: 1.0,
        }
    }

    fn text_of(width: u16, height: u16, view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| format!("{}\n", line(y).trim_end())).collect()
    }

    #[test]
    fn shows_nodes_figures_and_the_journal_on_a_small_screen() {
        let entry = |subject, text: &str| Entry {
            at: Timestamp::from_seconds(7),
            subject,
            text: text.to_owned(),
        };
        let view = View {
            elapsed: Duration::from_secs(67),
            length: Duration::from_secs(75),
            speed: 1.0,
            nodes: vec![node("infra-1", Stage::Foreign), node("workload-abc12", Stage::Ready)],
            price: Price::from_nanos(193_670_000),
            lower_bound: Some(Price::from_nanos(180_000_000)),
            journal: vec![entry(Subject::Launch, "abc12 for 3 pods")],
            ..View::default()
        };
        let text = text_of(80, 24, &view);
        for wanted in [
            "01:07 of 01:15",
            "price 0.194 EUR/h  bound 0.180  gap 8%",
            "abc12   std.xlarge ch-gva-2 0.194 ",
            "100%",
            "not ours",
            "00:07 launch   abc12 for 3 pods",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing:\n{text}");
        }
    }

    #[test]
    fn many_nodes_leave_room_for_the_journal() {
        let nodes = (0..60).map(|number| node(&format!("workload-{number}"), Stage::Booting));
        let view = View { nodes: nodes.collect(), ..View::default() };
        let text = text_of(80, 24, &view);
        assert!(text.contains("nodes 60, 51 not shown"), "{text}");
        assert!(text.contains("what happened"), "{text}");
    }
}

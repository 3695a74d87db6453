// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "grid.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MIN 8 /* a column that gives way keeps this much */

/* --- text --- */

/* Columns that a character takes: none when it combines, two for East Asian ones and emoji. */
static unsigned char_width(uint32_t c)
{
	static const struct {
		uint32_t first, last;
		unsigned width;
	} ranges[] = {
		{0x0300, 0x036f, 0},   {0x200b, 0x200d, 0},   {0x20d0, 0x20ff, 0},
		{0xfe00, 0xfe0f, 0},   {0x1100, 0x115f, 2},   {0x2e80, 0x303e, 2},
		{0x3041, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},
		{0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
		{0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2},
		{0x20000, 0x3fffd, 2},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return ranges[i].width;
	return 1;
}

/* Bytes of the character at the front of well-formed UTF-8 (label_clean), and its columns. */
static size_t char_at(const char *text, unsigned *ret_width)
{
	unsigned char first = (unsigned char)text[0];
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t c = len == 1 ? first : first & (0xff >> (len + 1));

	for (size_t i = 1; i < len && text[i]; i++)
		c = c << 6 | ((unsigned char)text[i] & 0x3f);
	*ret_width = char_width(c);
	return strnlen(text, len);
}

unsigned text_width(const char *text)
{
	unsigned width = 0, w;

	while (*text) {
		text += char_at(text, &w);
		width += w;
	}
	return width;
}

/* Cuts a text to so many columns; what was cut shows as an ellipsis. */
void text_cut(char *text, unsigned width)
{
	static const char ellipsis[] = "…";
	size_t at = 0, fits = 0;
	unsigned used = 0, w;

	if (text_width(text) <= width)
		return;
	while (text[at]) {
		size_t len = char_at(text + at, &w);

		if (used + w > width - 1)
			break;
		used += w;
		at += len;
		fits = at;
	}
	/* There is room: what is cut away is at least two characters, or one of three bytes. */
	if (fits + sizeof(ellipsis) <= LABEL_SIZE)
		memcpy(text + fits, ellipsis, sizeof(ellipsis));
	else
		text[fits] = '\0';
}

void text_squeeze(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (*from != ' ' || (to != text && to[-1] != ' '))
			*to++ = *from;
	while (to != text && to[-1] == ' ')
		to--;
	*to = '\0';
}

/* 1234567 -> 1,234,567 */
const char *count_text(uint64_t count, char text[LABEL_SIZE])
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count), to = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			text[to++] = ',';
		text[to++] = digits[i];
	}
	text[to] = '\0';
	return text;
}

/* Three digits that matter. */
static void scaled_text(double value, const char *unit, char text[LABEL_SIZE])
{
	int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	snprintf(text, LABEL_SIZE, "%.*f %s", decimals, value, unit);
}

const char *bytes_text(uint64_t bytes, char text[LABEL_SIZE])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	int unit = 0;

	if (bytes < 1000) {
		snprintf(text, LABEL_SIZE, "%" PRIu64 " B", bytes);
		return text;
	}
	for (value /= 1000; value >= 999.5 && unit < 5; unit++)
		value /= 1000;
	scaled_text(value, units[unit], text);
	return text;
}

const char *time_text(double ns, char text[LABEL_SIZE])
{
	static const struct {
		double below, ns;
		const char *unit;
	} units[] = {
		{999.5e3, 1e3, "µs"},  {999.5e6, 1e6, "ms"},    {119.5e9, 1e9, "s"},
		{7170e9, 60e9, "min"}, {172000e9, 3600e9, "h"}, {1e30, 86400e9, "d"},
	};
	size_t i = 0;

	if (ns < 999.5) {
		snprintf(text, LABEL_SIZE, "%.0f ns", ns);
		return text;
	}
	while (i < sizeof(units) / sizeof(units[0]) - 1 && ns >= units[i].below)
		i++;
	scaled_text(ns / units[i].ns, units[i].unit, text);
	return text;
}

const char *rate_text(double rate, char text[LABEL_SIZE])
{
	if (rate >= 99.95)
		return count_text((uint64_t)(rate + 0.5), text);
	snprintf(text, LABEL_SIZE, "%.*f", rate < 9.995 ? 2 : 1, rate);
	return text;
}

/* --- grids --- */

struct grid *grid_new(const struct column *columns, size_t nr, size_t max_rows)
{
	struct grid *grid = calloc(1, sizeof(*grid) + max_rows * sizeof(grid->cells[0]));

	if (grid) {
		grid->columns = columns;
		grid->nr_columns = nr;
	}
	return grid;
}

void grid_set(struct grid *grid, size_t row, size_t column, const char *format, ...)
{
	char *cell = grid->cells[row][column];
	va_list args;

	va_start(args, format);
	vsnprintf(cell, LABEL_SIZE, format, args);
	va_end(args);
	text_squeeze(cell);
}

/* Sum of the widths and of what lies between them. */
static unsigned grid_width(const struct grid *grid)
{
	unsigned total = 0;

	for (size_t c = 0; c < grid->nr_columns; c++)
		if (!grid->left_out[c])
			total += grid->widths[c] + (total ? 2 : 0);
	return total;
}

/* Takes one column of paper from the widest that gives; false when none does any more. */
static bool grid_narrow(struct grid *grid)
{
	size_t widest = grid->nr_columns;

	for (size_t c = 0; c < grid->nr_columns; c++) {
		const struct column *column = &grid->columns[c];
		unsigned floor = column->floor ? column->floor : COLUMN_MIN;

		if (column->gives && !grid->left_out[c] && grid->widths[c] > floor &&
		    (widest == grid->nr_columns || grid->widths[c] > grid->widths[widest]))
			widest = c;
	}
	if (widest == grid->nr_columns)
		return false;
	grid->widths[widest]--;
	return true;
}

static bool grid_leave_out(struct grid *grid)
{
	size_t first = grid->nr_columns;

	for (size_t c = 0; c < grid->nr_columns; c++)
		if (grid->columns[c].spare && !grid->left_out[c] &&
		    (first == grid->nr_columns ||
		     grid->columns[c].spare < grid->columns[first].spare))
			first = c;
	if (first == grid->nr_columns)
		return false;
	grid->left_out[first] = true;
	return true;
}

/* As wide as the texts are; wider where there is room, narrower where there is not. */
static void grid_fit(struct grid *grid, unsigned page_width)
{
	unsigned wanted[COLUMNS_MAX], more = 0;

	for (size_t c = 0; c < grid->nr_columns; c++) {
		grid->widths[c] = text_width(grid->columns[c].title);
		for (size_t r = 0; r < grid->nr_rows; r++) {
			unsigned width = text_width(grid->cells[r][c]);

			if (width > grid->widths[c])
				grid->widths[c] = width;
		}
		if (grid->columns[c].min > grid->widths[c])
			more += grid->columns[c].min - grid->widths[c];
	}
	for (size_t c = 0; c < grid->nr_columns && grid_width(grid) + more <= page_width; c++)
		if (grid->columns[c].min > grid->widths[c]) {
			more -= grid->columns[c].min - grid->widths[c];
			grid->widths[c] = grid->columns[c].min;
		}
	memcpy(wanted, grid->widths, sizeof(wanted));
	while (grid_width(grid) > page_width)
		if (!grid_narrow(grid)) {
			if (!grid_leave_out(grid))
				break;
			/* what was taken from the others may be more than is needed now */
			memcpy(grid->widths, wanted, sizeof(wanted));
		}
}

static void grid_line(const struct page *page, const struct grid *grid, char (*cells)[LABEL_SIZE],
		      bool bold)
{
	unsigned blanks = 0; /* owed; paid only before text, so that no line ends in blanks */

	if (bold)
		fputs("\033[1m", page->out);
	for (size_t c = 0; c < grid->nr_columns; c++) {
		unsigned width, spare;

		if (grid->left_out[c])
			continue;
		text_cut(cells[c], grid->widths[c]);
		width = text_width(cells[c]);
		spare = grid->widths[c] > width ? grid->widths[c] - width : 0;
		if (c)
			blanks += 2;
		if (grid->columns[c].right)
			blanks += spare;
		if (width) {
			fprintf(page->out, "%*s%s", (int)blanks, "", cells[c]);
			blanks = 0;
		}
		if (!grid->columns[c].right)
			blanks += spare;
	}
	fputs(bold ? "\033[0m\n" : "\n", page->out);
}

/* A title in bold; on a page that knows no bold, just the title. */
void page_title(const struct page *page, const char *text)
{
	fprintf(page->out, page->bold ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

void grid_print_and_free(const struct page *page, struct grid *grid)
{
	char titles[COLUMNS_MAX][LABEL_SIZE];

	grid_fit(grid, page->width);
	for (size_t c = 0; c < grid->nr_columns; c++)
		snprintf(titles[c], LABEL_SIZE, "%s", grid->columns[c].title);
	grid_line(page, grid, titles, page->bold);
	for (size_t r = 0; r < grid->nr_rows; r++)
		grid_line(page, grid, grid->cells[r], false);
	free(grid);
}

/* Words from a column on, continued below their beginning where the page ends. */
void page_words(const struct page *page, unsigned indent, const char *text)
{
	unsigned column = indent, w;

	while (*text) {
		size_t len = strcspn(text, " ");
		unsigned width = 0;

		for (size_t i = 0; i < len; width += w)
			i += char_at(text + i, &w);
		if (column > indent && column + 1 + width > page->width) {
			fprintf(page->out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', page->out);
			column++;
		}
		fprintf(page->out, "%.*s", (int)len, text);
		column += width;
		text += len + (text[len] == ' ');
	}
	fputc('\n', page->out);
}

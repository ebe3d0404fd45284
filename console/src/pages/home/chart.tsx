/**
 * The chart of revenue: net and refunds as bars, the comparison periods as a dashed line. The chosen period is also
 * described in text.
 */

import { scaleBand, scaleLinear } from "@visx/scale";
import { LinePath } from "@visx/shape";
import { useEffect, useId, useRef, useState, type MouseEvent } from "react";

export type Point = { label: string; net: number; refunds: number; previous: number; words: string };
type ChartProps = { label: string; points: readonly Point[]; tick: (value: number) => string };

const HEIGHT = 240;
const MARGIN = { top: 10, right: 4, bottom: 24, left: 64 };
const LABEL_WIDTH = 76;

/** Returns the width of an element; 0 before it is rendered. */
function useWidth() {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width] as const;
}

export default function Chart({ label, points, tick }: ChartProps) {
  const [element, width] = useWidth();
  const [chosen, setChosen] = useState(points.length - 1);
  const id = useId();
  const index = Math.min(chosen, points.length - 1);
  const inner = Math.max(0, width - MARGIN.left - MARGIN.right);
  const choose = (event: MouseEvent) => {
    const at = (event.nativeEvent.offsetX - MARGIN.left) / inner;
    setChosen(Math.max(0, Math.min(points.length - 1, Math.floor(at * points.length))));
  };
  return (
    <>
      <p className="readout" id={id}>{points[index]?.words}</p>
      <div className="chart" ref={element}>
        {width > 0 && <Drawing points={points} tick={tick} chosen={index} width={inner} />}
        {/* Over the drawing: arrow keys and a touch choose a period, and screen readers read it out. */}
        <input type="range" aria-label={label} aria-valuetext={points[index]?.words} min={0} max={points.length - 1} step={1} value={index}
          onChange={(event) => setChosen(Number(event.target.value))} onMouseMove={choose} />
      </div>
    </>
  );
}

function Drawing({ points, tick, chosen, width }: { points: readonly Point[]; tick: (value: number) => string; chosen: number; width: number }) {
  const height = HEIGHT - MARGIN.top - MARGIN.bottom;
  const x = scaleBand<number>({ domain: points.map((_, index) => index), range: [0, width], paddingInner: 0.3, paddingOuter: 0.15 });
  const values = points.flatMap(({ net, refunds, previous }) => [net, -refunds, previous]);
  const y = scaleLinear<number>({ domain: [Math.min(0, ...values), Math.max(1, ...values)], range: [height, 0], nice: 4 });
  const every = Math.max(1, Math.ceil((points.length * LABEL_WIDTH) / Math.max(1, width)));
  const middle = (index: number) => (x(index) ?? 0) + x.bandwidth() / 2;
  return (
    <svg width={width + MARGIN.left + MARGIN.right} height={HEIGHT} aria-hidden="true">
      <g transform={`translate(${MARGIN.left},${MARGIN.top})`}>
        <rect className="chosen" x={middle(chosen) - x.step() / 2} y={0} width={x.step()} height={height} />
        {y.ticks(4).map((value) => (
          <g key={value} transform={`translate(0,${y(value)})`}>
            <line className={value === 0 ? "zero" : "grid"} x2={width} />
            <text x={-8} dy="0.32em" textAnchor="end">{tick(value)}</text>
          </g>
        ))}
        {points.map(({ net, refunds, label }, index) => (
          <g key={label + index}>
            <Span className="net" x={x(index) ?? 0} width={x.bandwidth()} from={y(0)} to={y(net)} />
            <Span className="refunds" x={x(index) ?? 0} width={x.bandwidth()} from={y(0)} to={y(-refunds)} />
            {(points.length - 1 - index) % every === 0 && <text x={middle(index)} y={height + 18} textAnchor={index === points.length - 1 && points.length > 1 ? "end" : "middle"} dx={index === points.length - 1 && points.length > 1 ? x.bandwidth() / 2 : 0}>{label}</text>}
          </g>
        ))}
        <LinePath className="previous" data={[...points]} x={(_, index) => middle(index)} y={({ previous }) => y(previous)} />
      </g>
    </svg>
  );
}

/** A bar between two heights, in any order. */
function Span({ className, x, width, from, to }: { className: string; x: number; width: number; from: number; to: number }) {
  return <rect className={className} x={x} width={width} y={Math.min(from, to)} height={Math.abs(from - to)} rx={Math.min(2, width / 4)} />;
}

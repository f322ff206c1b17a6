r"""Gold answers of every kind that mathematics benchmarks have, made up for the grader's drill.

None is copied from a benchmark. ``GOLDS``: kind -> answers.
"""

GOLDS = {
    "integers": r"""
0 | 7 | -3 | 12 | 19 | 64 | -128 | 365 | 1001 | 4096 | 12,345 | 1,000,007 | 99999 | 20! | 2^{64}
""",
    "big and small numbers": r"""
10^{100} | 3 \cdot 10^{8} | 6.02e23 | 1.6e-19 | 4.4 \times 10^{-7} | \frac{1}{2^{70}} | 7^{77}
\frac{1}{1500!} | 100! | 2^{-300} | e^{-1000} | 1-2^{-90} | 1+\frac{1}{200!} | 10^{-9}
""",
    "fractions": r"""
\frac{1}{3} | -\frac{5}{7} | \frac{22}{7} | \frac{13}{28} | \dfrac{9}{4} | 3/8 | -11/6 | \frac58
\frac{1000}{1001} | \frac{-7}{12} | 2\frac{3}{4} | 5 \frac{1}{6} | \frac{144}{169} | 17/120
\frac{101}{2^{10}} | \frac{5!}{7^3}
""",
    "decimals": r"""
0.75 | 3.14 | -2.5 | .0625 | 12.50 | 0.001 | 1234.56 | 8.0 | 0.333333 | 19.99 | 100.01 | 2.718282
0.\overline{27} | 1.1\overline{6} | 0.\overline{142857}
""",
    "intervals": r"""
(0,1) | [2,5) | (-\infty,3] | [-4,\infty) | (1,2) \cup (3,4) | [0,\pi] | (-\sqrt{2},\sqrt{2})
(-\infty,-1) \cup (1,\infty) | \left[\frac{1}{3},\frac{2}{3}\right] | x \in (2,9] | (0,1) \cup \{2\}
x > 3 | x \le -2 | -1 < x < 4 | 0 \le t \le 2\pi
""",
    "tuples": r"""
(3,4) | (-1,0,2) | (1,1,1,2) | \left(\frac{1}{2},-\frac{3}{2}\right) | (2\sqrt{3},\frac{\pi}{6})
(x,y) = (5,-2) | (0,7),(7,0) | (a,b,c) | (1+i,1-i) | (10,\log_{10} 5) | (k,k+1) | (-5,12)
""",
    "sets and lists": r"""
\{1,2,3\} | \{-2,2\} | 2,3,5,7 | 1,-1 | \{0\} | \emptyset | \{\frac{1}{2},4\} | 4, 9, 25 | a,b
\pm 3 | 2 \pm \sqrt{5} | \{2,4,6,8,10\} | 3 \text{ and } 8 | x=1 \text{ or } x=6 | \{x,y,z\}
""",
    "polynomials": r"""
x^2+3x-4 | 2x^3-5x+1 | (x-1)(x+2) | a^2-2ab+b^2 | -3t^2+7 | x^4+x^2+1 | 6r^2-4r-24 | n^2+n+41
x^2y-xy^2 | (a+b)^3 | 4(x-3)^2+5 | 12x-7 | p+q-pq | 2k+1 | 9-m^2 | x^{10}-1 | 7ab | 3xyz
""",
    "rational expressions": r"""
\frac{x+1}{x-1} | \frac{n(n+1)}{2} | \frac{1}{1+x^2} | \frac{a}{b+c} | \frac{2n+1}{n^2} | 1/x
\frac{x}{y}+\frac{y}{x} | \frac{3a+2b}{5} | \frac{1}{s(s+2)} | \frac{k-1}{k} | \frac{mv^2}{r}
""",
    "roots and powers": r"""
\sqrt{7} | 3\sqrt{5} | \frac{\sqrt{3}}{2} | 5+2\sqrt{6} | \sqrt[3]{4} | 2^{n-1} | 3^{2k+1} | x^{3/2}
\sqrt{a^2+b^2} | 10\sqrt{10} | \frac{1+\sqrt{5}}{2} | 2^{1/3} | 4^{x+1} | \sqrt{2+\sqrt{3}}
-\frac{\sqrt{11}}{4} | (1+\sqrt{2})^{n}
""",
    "pi and e": r"""
2\pi | \frac{\pi}{4} | 16\pi | 3\pi^2 | e^2 | \frac{e-1}{2} | 4+\pi | 25-\frac{25\pi}{4} | \pi r^2
e^{-t} | \frac{4}{3}\pi r^3 | 2e^{3x} | \pi-3 | e^{\pi}
""",
    "trigonometry": r"""
\sin x | \cos 2\theta | \frac{1}{2}\tan t | \sin^2 x | 2\sin x\cos x | \arctan\frac{1}{2} | \sec x
\sqrt{2}\cos(2t-\frac{\pi}{4}) | A\sin(\omega t+\phi) | \arcsin 0.3 | \cos^2 x-\sin^2 x | \cot 3x
\sin 20^\circ | \cos\frac{2\pi}{7} | e^{-t}\sin 3t
""",
    "logarithms": r"""
\log_2 3 | \ln 5 | \ln(x+1) | 2\log_3 7 | \frac{\ln 2}{3} | \log_{10} 250 | x\ln x-x | \log_5 9
\frac{\log 7}{\log 3} | -\ln(1-p) | \ln 2+\ln 3
""",
    "complex": r"""
3+4i | -2i | 1-\sqrt{3}i | \frac{1+i}{2} | 5e^{i\pi/3} | 6-5i | i | 2+7i | (1+i)^n | -8-8\sqrt{3}i
e^{2it} | \frac{3}{5}-\frac{4}{5}i
""",
    "equations": r"""
y=3x-2 | x^2+y^2=25 | 2x-3y+6=0 | y=-\frac{1}{2}x+4 | x=7 | f(x)=x^2+1 | k=2n-1
V=\frac{1}{3}\pi r^2h
\frac{x^2}{9}+\frac{y^2}{4}=1 | y'=2y | \frac{dy}{dx}=ky | m\frac{d^2x}{dt^2}+kx=0 | x+2y-z=5
PV=nRT
\dot{x}=-ax | f(n)=2f(n-1)+1 | MR=MC | QRST=WXYZ | u_t=c^2u_{xx} | y''+4y=0 | g(t)=t | E=hf
""",
    "functions and names": r"""
x(t) | u(0) | f(2) | I(0) | \gamma | \beta^2 | S | N | E | c | Q_1 | x_{n+1} | \lambda_1+\lambda_2
\delta(t) | C_1e^{t}+C_2e^{-t} | \hbar\omega | m_e c^2 | \zeta | R_1+R_2 | T_{max} | \vec{a} | y'+y
v_0 t | \frac{I}{R} | aB-bA | nN | mM | \dot{x} | f(x+1)-f(x) | \alpha\beta
""",
    "counting": r"""
\binom{10}{3} | 7! | \binom{n}{2} | \frac{12!}{5!7!} | (n-1)! | n!-1 | \binom{2n}{n} | 3^n-2^n
\lfloor n/2 \rfloor | \lceil \log_2 n \rceil | \left\lfloor\sqrt{n}\right\rfloor+1 | |x-3| | 2^n-n-1
""",
    "matrices": r"""
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
\begin{bmatrix} 0 & -1 \\ 1 & 0 \end{bmatrix} | \begin{pmatrix} \frac{1}{2} \\ -3 \\ 0 \end{pmatrix}
\begin{pmatrix} a & b \\ -b & a \end{pmatrix} | \begin{pmatrix} 5 & 7 \end{pmatrix}
""",
    "units": r"""
12 cm | 5\text{ m} | 9.8\text{ m/s}^2 | 15\text{ cm}^2 | 3\text{ hours} | 45\text{ mph} | 7 km
20\text{ kg} | 100\text{ meters} | 6\sqrt{3}\text{ cm} | 4\pi\text{ m}^2 | 30\text{ minutes}
2.5\text{ liters} | 8\text{ feet} | 16\text{ square inches} | 300\text{ K} | 5\,\mathrm{N}
1.5\text{ kJ}
250\text{ mL} | 12\text{ apples} | 3\text{ students} | 40\,\frac{\text{m}}{\text{s}}
""",
    "percent": r"""
50\% | 12.5\% | 8 \% | 150\% | 0.3\% | 33\frac{1}{3}\% | 99.9%
""",
    "money": r"""
\$5 | \$18.90 | \$1,250 | \$0.75 | 25\text{ cents} | 40\text{ dollars} | \$32,\!000 | £12 | €9.50
""",
    "degrees": r"""
90^\circ | 45^{\circ} | 37.5^\circ | 120\text{ degrees} | 22\frac{1}{2}^\circ | 180^\circ-2\alpha
""",
    "times and ratios": r"""
1:20 | 12:05 | 3:45\text{ p.m.} | 2:3 | 1:2:3 | 5:4 | 11:59 | 7:30 \text{ am}
""",
    "choices": r"""
\text{(A)} | \text{(B)} | (C) | \text{(D)} | (E) | \textbf{(B)}
""",
    "words": r"""
\text{north} | \text{Monday} | \text{ellipse} | \text{odd} | \text{Maria} | red | \text{no solution}
\text{Yes} | \text{isosceles} | \text{Thursday} | \text{left} | \text{true} | hyperbola
""",
    "bases": r"""
101_2 | 37_8 | 204_5 | 1A_{16} | 1221_3 | 110011_{2}
""",
}
GOLDS = {
    kind: [gold.strip() for line in text.strip().splitlines() for gold in line.split(" | ")]
    for kind, text in GOLDS.items()
}
